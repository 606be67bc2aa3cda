// What makes the pages quicker to use; all of them work without it.
"use strict";

(() => {
  const wait = (ms, f) => { let timer; return (...args) => { clearTimeout(timer); timer = setTimeout(() => f(...args), ms); }; };
  const typing = (e) => e.target.closest && e.target.closest("input, textarea, select, [contenteditable]");

  // "/" goes to the search.
  document.addEventListener("keydown", (e) => {
    if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || typing(e)) return;
    const field = document.querySelector("input[type=search]");
    if (field) { e.preventDefault(); field.focus(); field.select(); }
  });

  // Search while typing: the same page is fetched, and its results put in.
  const search = document.querySelector("form[data-live-search]");
  if (search) {
    let running = null;
    const run = async () => {
      const query = new URLSearchParams(new FormData(search));
      if (!query.get("q")) query.delete("q");
      const url = "/" + (query.size ? "?" + query : "");
      if (running) running.abort();
      running = new AbortController();
      try {
        const answer = await fetch(url, { signal: running.signal, headers: { Accept: "text/html" } });
        if (answer.status === 429) return;
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById("results");
        if (!fresh) return;
        for (const part of ["dateline", "around", "results"])
          document.getElementById(part).replaceChildren(...page.getElementById(part).childNodes);
        document.title = page.title;
        history.replaceState(null, "", url);
      } catch (error) {
        if (error.name !== "AbortError") search.removeAttribute("data-live-search");
      }
    };
    search.addEventListener("input", wait(350, () => search.hasAttribute("data-live-search") && run()));
  }

  // What a query would bring, while it is written.
  const query = document.querySelector("input[data-preview]");
  const preview = document.getElementById("preview");
  if (query && preview) {
    const see = document.querySelector("a[data-see]");
    const show = async () => {
      if (see) see.href = "/?q=" + encodeURIComponent(query.value);
      const answer = await fetch(query.dataset.preview + "?query=" + encodeURIComponent(query.value));
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      preview.replaceChildren(...page.body.childNodes);
    };
    query.addEventListener("input", wait(400, () => show().catch(() => {})));
    if (query.value) show().catch(() => {});
  }

  // A new subscription starts with the reader's own clock.
  const zone = document.querySelector("form[data-zone] input[name=timezone]");
  if (zone && zone.value === "UTC") {
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (own && own.includes("/")) zone.value = own;
  }

  // Copy.
  for (const button of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    const words = button.textContent;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = words; }, 1500);
    });
  }

  // Operators' pages keep themselves fresh: only the parts that changed are put in, and none that is in use.
  const live = document.querySelector("[data-live]");
  if (live) {
    const button = live.querySelector("[data-live-toggle]");
    const at = live.querySelector("[data-live-at]");
    let paused = false;
    const inUse = (part) => part.contains(document.activeElement) || part.matches(":hover") && getSelection().toString();
    const plain = (part) => part.innerHTML.replace(/name="csrf" value="[^"]*"/g, "").replace(/ open=""/g, "");
    const refresh = async () => {
      if (paused || document.hidden) return;
      const answer = await fetch(live.dataset.live, { headers: { "X-Fragment": "1", Accept: "text/html" } });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) { at.textContent = "not reached"; return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const fresh of page.querySelectorAll("section[id], [data-part][id]")) {
        const part = document.getElementById(fresh.id);
        if (!part || inUse(part) || plain(part) === plain(fresh)) continue;
        for (const details of part.querySelectorAll("details[open][id]")) {
          const same = fresh.querySelector("#" + details.id);
          if (same) same.open = true;
        }
        part.className = fresh.className;
        part.replaceChildren(...fresh.childNodes);
      }
      at.textContent = new Date().toISOString().slice(0, 19).replace("T", " ");
    };
    button.hidden = false;
    button.addEventListener("click", () => {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      button.textContent = paused ? "Refresh again" : "Pause refreshing";
      if (!paused) refresh();
    });
    setInterval(() => refresh().catch(() => { at.textContent = "not reached"; }), 5000);
  }
})();
