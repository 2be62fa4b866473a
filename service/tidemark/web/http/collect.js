(function () {
  "use strict";
  var d = document, w = window, s = d.currentScript || d.querySelector("script[data-site]");
  if (!s) return;
  var to = new URL("api/v2/collect", s.src).href, site = s.getAttribute("data-site");
  var referrer = short(d.referrer), path, page, left;

  // All that is kept of it, and as long as it may be.
  function short(url) {
    return url.split(/[?#]/)[0].slice(0, 1024);
  }

  function send(type, name) {
    var body = JSON.stringify({ site: site, type: type, name: name, url: page, referrer: referrer });
    if (!(navigator.sendBeacon && navigator.sendBeacon(to, body)))
      fetch(to, { method: "POST", body: body, keepalive: true, mode: "no-cors", credentials: "omit" }).catch(function () {});
  }
  function look() {
    page = short(location.href);
    path = location.pathname;
  }
  function view() {
    if (page) referrer = page;
    look();
    left = false;
    send("pageview");
  }
  function moved() {
    if (path !== location.pathname) view();
  }
  function leave() {
    if (!left) {
      left = true;
      send("leave");
    }
  }
  function start() {
    var queue = (w.tidemark && w.tidemark.q) || [];
    view();
    w.tidemark = function (name) {
      send("event", String(name));
    };
    for (var i = 0; i < queue.length; i++) w.tidemark(queue[i][0]);

    function after(name, then) {
      var change = history[name];
      history[name] = function () {
        change.apply(this, arguments);
        then();
      };
    }
    after("pushState", moved);
    after("replaceState", look);
    w.addEventListener("popstate", moved);
    w.addEventListener("pagehide", leave);
    w.addEventListener("pageshow", function (e) {
      if (e.persisted) view();
    });
    d.addEventListener("visibilitychange", function () {
      if (d.visibilityState === "hidden") leave();
      else left = false;
    });
  }
  if (d.prerendering) d.addEventListener("prerenderingchange", start, { once: true });
  else start();
})();
