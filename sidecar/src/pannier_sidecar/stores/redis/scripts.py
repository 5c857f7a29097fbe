"""The writes, each one Lua script: precondition, value, version and expiry happen together or not at all.

A key is a hash with the fields `data` and `version`, as Dapr lays it out; other fields are left alone. What was written
with first-write concurrency has a field `first-write` too: without it Dapr's create-only overwrites what is there. The
version is the ETag. Every write adds 1 to it. Where Dapr starts a new key with 1, ours start with the server's time in
microseconds, so that a key that is deleted and written again never has an ETag that it had before; Dapr takes any
integer, and this one stays below 2^53 until the year 2255.

A plain string, as Dapr wrote it long ago, has the hash of its content for an ETag, `sha1-` and 40 hex digits.

Answers: 0 when it is done; otherwise the place of the write whose precondition failed, from 1, and the ETag that the
key has (empty: it is not state; missing: no key).
"""

from __future__ import annotations

from typing import Final

from pannier_crds.digests import sha1

# HSET and HINCRBY come first among the writes of a key: a server that is out of memory, or a user without the
# permission, then refuses before anything has changed.
_PUT: Final = """
local function put(key, value, ttl, mark)
  if ttl == 'keep' then
    ttl = redis.call('PTTL', key)
    if ttl < 0 then ttl = '' end
  end
  local version = redis.pcall('HINCRBY', key, 'version', 1)
  if version == 1 or type(version) == 'table' then
    if version ~= 1 then
      if string.find(version.err, 'WRONGTYPE', 1, true) then
        if redis.call('TYPE', key).ok == 'ReJSON-RL' then
          mark = mark or type(redis.pcall('JSON.GET', key, '.first-write')) == 'string'
        end
        redis.call('DEL', key)
      elseif not string.find(version.err, 'integer', 1, true) and not string.find(version.err, 'overflow', 1, true) then
        return version
      end
    end
    local now = redis.call('TIME')
    redis.call('HSET', key, 'data', value, 'version', string.format('%s%06d', now[1], now[2]))
  else
    redis.call('HSET', key, 'data', value)
  end
  if mark then redis.call('HSET', key, 'first-write', 0) end
  if ttl and ttl ~= '' then redis.call('PEXPIRE', key, ttl) else redis.call('PERSIST', key) end
end
"""

_ETAG: Final = """
local function etag_of(key)
  local version = redis.pcall('HGET', key, 'version')
  if type(version) == 'string' then return version end
  if not version then return redis.call('EXISTS', key) == 1 and '' end
  if not string.find(version.err, 'WRONGTYPE', 1, true) then return version end
  local kind = redis.call('TYPE', key).ok
  if kind == 'string' then return 'sha1-' .. redis.sha1hex(redis.call('GET', key)) end
  if kind == 'ReJSON-RL' then return redis.call('JSON.GET', key, '.version') end
  return ''
end
"""

_REFUSAL: Final = """
local function refusal(key, wanted, place)
  if wanted == '' then return nil end
  local etag = etag_of(key)
  if type(etag) == 'table' then return etag end
  if etag and etag ~= wanted then return {place, etag} end
  if not etag and wanted ~= '*' then return {place} end
end
"""

_TRANSACT: Final = """
for place, key in ipairs(KEYS) do
  local refused = refusal(key, ARGV[4 * place - 2], place)
  if refused then return refused end
end
for place, key in ipairs(KEYS) do
  local kind = ARGV[4 * place - 3]
  if kind ~= 'delete' then
    local failed = put(key, ARGV[4 * place - 1], ARGV[4 * place], kind == 'first-write')
    if failed then return failed end
  else
    redis.call('DEL', key)
  end
end
return 0
"""


class Script:
    """A script and the name that Redis gives it."""

    __slots__ = ("sha", "source")

    def __init__(self, source: str):
        self.source = source.encode()
        self.sha = sha1(self.source).hexdigest().encode()


ABSENT: Final = b"*"
"""Precondition: the key is absent. Others are an ETag, or empty for none."""

SET: Final = Script(_PUT + "return put(KEYS[1], ARGV[1], ARGV[2]) or 0")
"""KEYS: key. ARGV: value, TTL in ms or nothing. Everywhere a TTL may also be `keep`: the key has it already."""
SET_IF: Final = Script(
    _PUT + _ETAG + _REFUSAL + "return refusal(KEYS[1], ARGV[2], 1) or put(KEYS[1], ARGV[1], ARGV[3], ARGV[4]) or 0"
)
"""KEYS: key. ARGV: value, precondition, TTL in ms (or empty), and any fourth argument if it is a first-write."""
DELETE_IF: Final = Script(
    _ETAG + _REFUSAL + "local refused = refusal(KEYS[1], ARGV[1], 1) if refused then return refused end\n"
    "redis.call('DEL', KEYS[1]) return 0"
)
"""KEYS: key. ARGV: precondition."""
TRANSACT: Final = Script(_PUT + _ETAG + _REFUSAL + _TRANSACT)
"""KEYS: a key per write. ARGV: for each `set`, `first-write` or `delete`, precondition, value, TTL in ms or empty."""

ALL: Final = (SET, SET_IF, DELETE_IF, TRANSACT)
_BY_SHA: Final = {script.sha: script for script in ALL}
_BY_NAME: Final = b"$7\r\nEVALSHA\r\n$40\r\n"


def with_source(payload: bytes) -> bytes:
    """Return a packed EVALSHA as an EVAL, for a server that does not have the script (any more)."""
    head, _, tail = payload.partition(_BY_NAME)
    source = _BY_SHA[tail[:40]].source
    return b"%b$4\r\nEVAL\r\n$%d\r\n%b%b" % (head, len(source), source, tail[40:])
