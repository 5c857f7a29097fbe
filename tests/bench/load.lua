-- The load: `wrk ... -s load.lua STORE_URL -- get|save|bulk`. Every request is made before the clock starts.
local KEYS, VALUE = 1000, '{"name":"Ada Lovelace","address":"12 St James\'s Square, London","orders":[17,4,2026],"active":true}'
local BULK = 100
local requests, turn = {}, 0

local function key(n) return "k" .. (n % KEYS) end

local function post(path, body)
  return wrk.format("POST", path, { ["content-type"] = "application/json" }, body)
end

local makers = {
  get = function(path, n) return wrk.format("GET", path .. "/" .. key(n)) end,
  save = function(path, n) return post(path, '[{"key":"' .. key(n) .. '","value":' .. VALUE .. "}]") end,
  bulk = function(path, n)
    local keys = {}
    for i = 1, BULK do keys[i] = '"' .. key(n + i) .. '"' end
    return post(path .. "/bulk", '{"keys":[' .. table.concat(keys, ",") .. "]}")
  end,
}

function init(args)
  for n = 1, KEYS do requests[n] = makers[args[1]](wrk.path, n * 7) end
end

function request()
  turn = turn % KEYS + 1
  return requests[turn]
end

function done(summary, latency)
  local e = summary.errors
  print(string.format('RESULT {"requests": %d, "us": %d, "p50_us": %d, "p99_us": %d, "errors": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
