// Makes pages move: parts that changed are replaced, log lines are added, and the end of a log is followed
// until one scrolls up. Without it every page shows the same, once. One connection a page; the browser resumes
// it by itself with the last event's id, and the server sends what was missed.
"use strict";

const say = (text) => { document.getElementById("connection").textContent = text; };

// Lines by their address: #test.unit:120 or #test.unit:120-124.
function marked() {
	document.querySelectorAll(".marked").forEach((line) => line.classList.remove("marked"));
	const range = decodeURIComponent(location.hash).match(/^#(.+):(\d+)(?:-(\d+))?$/);
	if (!range) return;
	const [, log, from, to] = range;
	const box = document.getElementById(log);
	if (box instanceof HTMLDetailsElement) box.open = true;
	let first = null;
	for (let n = Number(from); n <= Math.min(Number(to || from), Number(from) + 5000); n++) {
		const line = document.getElementById(log + ":" + n);
		if (!line) continue;
		line.classList.add("marked");
		first = first || line;
	}
	if (first) {
		following.delete(first.closest(".lines"));
		first.scrollIntoView({ block: "center" });
		return;
	}
	// The line is not on this page: the page of the log alone has it.
	const all = box && box.querySelector("a[data-page]");
	if (all) location.replace(all.href + "?from=" + Math.max(1, Number(from) - 20) + location.hash);
}

// A click on a number with Shift makes a range of it.
function pick(event) {
	const link = event.target.closest(".lines li > a");
	const now = decodeURIComponent(location.hash).match(/^#(.+):(\d+)/);
	if (!link || !event.shiftKey || !now) return;
	const [, log, to] = link.getAttribute("href").match(/^#(.+):(\d+)$/);
	if (log !== now[1]) return;
	event.preventDefault();
	const [a, b] = [Number(now[2]), Number(to)].sort((x, y) => x - y);
	history.replaceState(null, "", "#" + log + ":" + a + "-" + b);
	marked();
}

// Boxes of lines whose end is followed: those of growing logs, until one scrolls up in them.
const following = new Set();

function follow(box) {
	if (!box || box.dataset.watched) return;
	box.dataset.watched = "yes";
	following.add(box);
	box.scrollTop = box.scrollHeight;
	box.addEventListener("scroll", () => {
		const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
		if (atEnd) following.add(box);
		else following.delete(box);
	}, { passive: true });
}

function growing() {
	document.querySelectorAll("[data-growing]").forEach((log) => {
		follow(log.querySelector(".lines"));
		log.addEventListener("toggle", () => {
			const box = log.querySelector(".lines");
			if (log.open && following.has(box)) box.scrollTop = box.scrollHeight;
		}, { once: true });
	});
}

// Replaces an element's content, but keeps what the reader has opened or is typing in.
function replace(id, html) {
	const old = document.getElementById(id);
	if (!old) return;
	if (old.contains(document.activeElement) && /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
	if (old.querySelector("details.confirm[open]")) return;
	const focused = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
	const next = document.createElement("template");
	next.innerHTML = html;
	old.replaceChildren(next.content);
	if (focused) old.querySelector('a[href="' + CSS.escape(focused) + '"]')?.focus();
}

function listen(address) {
	const source = new EventSource(address);
	source.addEventListener("open", () => say("Live."));
	source.addEventListener("error", () => say(source.readyState === EventSource.CLOSED ? "No longer live: load the page again." : "The connection was lost; it is being taken up again."));
	source.addEventListener("part", (event) => {
		const part = JSON.parse(event.data);
		replace(part.id, part.html);
	});
	source.addEventListener("log", (event) => {
		const log = JSON.parse(event.data);
		if (document.getElementById(log.id)) return;
		document.getElementById("logs").insertAdjacentHTML("afterbegin", log.html);
		growing();
	});
	source.addEventListener("lines", (event) => {
		const add = JSON.parse(event.data);
		const box = document.getElementById(add.id)?.querySelector(".lines");
		if (!box) return;
		box.insertAdjacentHTML("beforeend", add.html);
		if (following.has(box)) box.scrollTop = box.scrollHeight;
	});
	source.addEventListener("end", () => {
		source.close();
		say("");
	});
	window.addEventListener("pagehide", () => source.close());
}

marked();
growing();
window.addEventListener("hashchange", marked);
document.addEventListener("click", pick);
if (document.body.dataset.live) listen(document.body.dataset.live);
