-- Sends the uploads of bench/requests.py with wrk. At the end, prints the measurements as one line of JSON.
-- Arguments: start in microseconds since 1970 UTC, sensors, step in microseconds, organization id, organization key.

local start, sensors, step, credentials
local number = 0
local second, second_text = -1, ""

function init(arguments)
   start, sensors, step = tonumber(arguments[1]), tonumber(arguments[2]), tonumber(arguments[3])
   credentials = " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/vnd.api+json\r\nORGANIZATION-ID: "
      .. arguments[4] .. "\r\nORGANIZATION-API-KEY: " .. arguments[5] .. "\r\nContent-Length: "
end

function request()
   local at = start + number * step
   local seconds = math.floor(at / 1000000)
   if seconds ~= second then
      second, second_text = seconds, os.date("!%Y-%m-%dT%H:%M:%S", seconds)
   end
   local sensor = string.format("bench%05d", number % sensors)
   local body = string.format(
      '{"data":{"type":"SensorData","id":"null","attributes":{"value":"%.2f","timestamp":"%s.%06dZ",'
         .. '"latitude":"51.509865","longitude":"-0.118092"},'
         .. '"relationships":{"sensor":{"data":{"type":"Sensor","id":"%s"}}}}}',
      20 + number % 1000 / 100, second_text, at % 1000000, sensor
   )
   number = number + 1
   return "POST /api/external/v1/inputs/" .. sensor .. "/inputdata/" .. credentials .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\n{"seconds":%.6f,"answers":%d,"refused":%d,"broken":%d,"p50":%.3f,"p99":%.3f,"p999":%.3f,"worst":%.3f}\n',
      summary.duration / 1e6, summary.requests, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency:percentile(99.9) / 1000,
      latency.max / 1000
   ))
end
