function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
async function handleAnalyticsError(response) {
  if (response.status === 429) {
    const reset = Number(response.headers.get("X-RateLimit-Reset") || "0");
    const waitSeconds = Math.max(reset - Math.floor(Date.now() / 1000), 1);
    await sleep(waitSeconds * 1000);
    return "retry";
  }
  if (response.status === 401) {
    throw new Error("Analytics token is missing, invalid, expired, or revoked.");
  }
  if (response.status === 403) {
    throw new Error("Analytics token does not include the required scope.");
  }
  if (response.status === 400) {
    const body = await response.text();
    throw new Error(`Invalid analytics request: ${body}`);
  }
  if (!response.ok) {
    throw new Error(`Analytics request failed: ${response.status}`);
  }
  return "ok";
}
