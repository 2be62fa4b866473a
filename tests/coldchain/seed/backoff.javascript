function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
async function analyticsGet(url, options = {}, maxAttempts = 3) {
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const response = await fetch(url, options);
    if (response.status !== 429) {
      if (!response.ok) {
        throw new Error(`Analytics request failed: ${response.status}`);
      }
      return response;
    }
    const reset = Number(response.headers.get("X-RateLimit-Reset") || "0");
    const waitSeconds = Math.max(reset - Math.floor(Date.now() / 1000), 1);
    const jitterMilliseconds = Math.floor(Math.random() * 1000);
    await sleep(waitSeconds * 1000 + jitterMilliseconds);
  }
  throw new Error("Analytics API rate limit did not clear before maxAttempts.");
}
