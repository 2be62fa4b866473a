const baseUrl = process.env.COLDTIVATE_API_BASE_URL || "https://api.coldtivate.org/api/v1";
const token = process.env.COLDTIVATE_API_TOKEN;
const params = new URLSearchParams({
  start_date: "2026-01-01",
  end_date: "2026-01-31",
  location_id: "45",
  period: "month",
  page: "1",
  page_size: "100",
});
const response = await fetch(`${baseUrl}/analytics/impact?${params}`, {
  headers: {
    Authorization: `Bearer ${token}`,
  },
});
if (!response.ok) {
  throw new Error(`Impact analytics request failed: ${response.status}`);
}
const payload = await response.json();
for (const item of payload.data) {
  console.log(item.cooling_unit_id, item.food_loss_prevented_kg, item.income_increase);
}
