const baseUrl = process.env.COLDTIVATE_API_BASE_URL || "https://api.coldtivate.org/api/v1";
const token = process.env.COLDTIVATE_API_TOKEN;
const params = new URLSearchParams({
  start_date: "2026-01-01",
  end_date: "2026-01-31",
  payment_status: "paid",
  period: "month",
  page: "1",
  page_size: "100",
});
const response = await fetch(`${baseUrl}/analytics/revenue?${params}`, {
  headers: {
    Authorization: `Bearer ${token}`,
  },
});
if (!response.ok) {
  throw new Error(`Revenue analytics request failed: ${response.status}`);
}
const payload = await response.json();
for (const unit of payload.data) {
  for (const total of unit.currency_totals) {
    console.log(unit.cooling_unit_id, total.currency, total.total_revenue);
  }
}
