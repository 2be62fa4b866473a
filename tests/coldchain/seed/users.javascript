const baseUrl = process.env.COLDTIVATE_API_BASE_URL || "https://api.coldtivate.org/api/v1";
const token = process.env.COLDTIVATE_API_TOKEN;
const params = new URLSearchParams({
  start_date: "2026-01-01",
  end_date: "2026-01-31",
  period: "week",
  page: "1",
  page_size: "100",
});
const response = await fetch(`${baseUrl}/analytics/users?${params}`, {
  headers: {
    Authorization: `Bearer ${token}`,
  },
});
if (!response.ok) {
  throw new Error(`Users analytics request failed: ${response.status}`);
}
const payload = await response.json();
console.log(payload.data);
console.log(payload.meta.pagination);
