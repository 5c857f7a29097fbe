# All that Pannier needs: the keys under the prefix of its component (keyPrefixPath, by default dapr).
key_prefix "dapr/" {
  policy = "write"
}
