const baseUrl = process.env.COLDTIVATE_API_BASE_URL || "https://api.coldtivate.org/api/v1";
const token = process.env.COLDTIVATE_API_TOKEN;
const params = new URLSearchParams({
  start_date: "2026-01-01",
  end_date: "2026-01-31",
  cooling_unit_id: "123",
  period: "day",
  page: "1",
  page_size: "100",
});
const response = await fetch(`${baseUrl}/analytics/utilization?${params}`, {
  headers: {
    Authorization: `Bearer ${token}`,
  },
});
if (!response.ok) {
  throw new Error(`Utilization analytics request failed: ${response.status}`);
}
const payload = await response.json();
for (const unit of payload.data) {
  console.log(unit.cooling_unit_id, unit.utilization_rate);
}
