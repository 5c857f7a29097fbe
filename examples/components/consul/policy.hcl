# All that Pannier needs: the keys under the prefix of its component (keyPrefixPath, which is dapr unless it says other).
key_prefix "dapr/" {
  policy = "write"
}
