const baseUrl = process.env.COLDTIVATE_API_BASE_URL || "https://api.coldtivate.org/api/v1";
const token = process.env.COLDTIVATE_API_TOKEN;
async function fetchAllPages(endpoint, params) {
  let page = 1;
  const results = [];
  while (true) {
    const pageParams = new URLSearchParams({
      ...params,
      page: String(page),
      page_size: "100",
    });
    const response = await fetch(`${baseUrl}${endpoint}?${pageParams}`, {
      headers: {
        Authorization: `Bearer ${token}`,
      },
    });
    if (!response.ok) {
      throw new Error(`Analytics request failed: ${response.status}`);
    }
    const payload = await response.json();
    results.push(...payload.data);
    if (!payload.meta.pagination.has_next) {
      return results;
    }
    page += 1;
  }
}
const units = await fetchAllPages("/analytics/utilization", {
  start_date: "2026-01-01",
  end_date: "2026-01-31",
  period: "day",
});
console.log(`Fetched ${units.length} utilization records`);
