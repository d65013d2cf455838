(function () {
  "use strict";
  var search = document.getElementById("search");
  var rows = [].slice.call(document.querySelectorAll("[data-s]"));
  var tiles = [].slice.call(document.querySelectorAll("button.tile"));
  var severity = "";
  function apply() {
    var words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach(function (row) {
      var text = row.getAttribute("data-s");
      var level = row.getAttribute("data-severity");
      var shown = words.every(function (w) { return text.indexOf(w) >= 0; }) && (!severity || !level || level === severity);
      row.hidden = !shown;
    });
    [].forEach.call(document.querySelectorAll("details.group"), function (group) {
      var shown = group.querySelectorAll("[data-s]:not([hidden])").length;
      group.hidden = shown === 0;
      group.open = shown > 0 && words.length > 0;
    });
    [].forEach.call(document.querySelectorAll("[data-count]"), function (place) {
      var list = document.querySelectorAll("#" + place.getAttribute("data-count") + " [data-s]");
      var shown = [].filter.call(list, function (row) { return !row.hidden; }).length;
      place.textContent = shown === list.length ? String(list.length) : shown + " of " + list.length;
    });
    tiles.forEach(function (t) { t.setAttribute("aria-pressed", String(t.getAttribute("data-severity") === severity)); });
  }
  search.addEventListener("input", apply);
  tiles.forEach(function (t) {
    t.addEventListener("click", function () {
      var is = t.getAttribute("data-severity");
      severity = severity === is ? "" : is;
      apply();
    });
  });
  function follow() {
    var hash = location.hash.slice(1);
    if (hash.indexOf("q=") === 0) {
      try { search.value = decodeURIComponent(hash.slice(2)); } catch (e) { search.value = ""; }
      apply();
      return;
    }
    var target = hash && document.getElementById(hash);
    if (target && target.tagName === "DETAILS") {
      if (target.hidden) { search.value = ""; severity = ""; apply(); }
      target.open = true;
      target.scrollIntoView();
    }
  }
  window.addEventListener("hashchange", follow);
  window.addEventListener("beforeprint", function () {
    [].forEach.call(document.querySelectorAll("#findings details"), function (d) {
      var level = d.getAttribute("data-severity");
      if (level !== "low" && level !== "info") { d.open = true; }
    });
  });
  document.addEventListener("keydown", function (e) {
    if (e.key === "/" && document.activeElement !== search) { e.preventDefault(); search.focus(); }
  });
  apply();
  follow();
})();
