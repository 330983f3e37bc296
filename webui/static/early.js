// On the page of a log: a line that is not among those it shows is looked for at once, before these are read.
"use strict";
{
	const [first, last] = [Number(document.currentScript.dataset.first), Number(document.currentScript.dataset.last)];
	const line = Number(decodeURIComponent(location.hash).match(/:(\d+)/)?.[1]);
	const begin = String(Math.max(1, line - 20));
	if ((line < first || line > last) && new URLSearchParams(location.search).get("from") !== begin) location.replace("?from=" + begin + location.hash);
}
