const baseUrl = process.env.COLDTIVATE_API_BASE_URL || "https://api.coldtivate.org/api/v1";
const token = process.env.COLDTIVATE_API_TOKEN;
const params = new URLSearchParams({
  cooling_unit_id: "123",
  specification_type: "TEMPERATURE,HUMIDITY",
  start_date: "2026-01-01",
  end_date: "2026-01-31",
  aggregation: "hourly",
  page: "1",
  page_size: "100",
});
const response = await fetch(`${baseUrl}/sensor-data?${params}`, {
  headers: {
    Authorization: `Bearer ${token}`,
  },
});
if (!response.ok) {
  throw new Error(`Sensor data request failed: ${response.status}`);
}
const payload = await response.json();
for (const reading of payload.data) {
  console.log(
    reading.timestamp,
    reading.specification_type,
    reading.value,
    reading.sample_count
  );
}
