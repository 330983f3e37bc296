// Package webui is what people see of a server in a browser: what is in production, who is next, and why a
// push was refused. The pages are rendered here, on the server, from the same answers that the API gives;
// each works without scripts, which only make it move.
//
// A page is a view struct (views.go, views_deployment.go), a function that fills it from [Control] (a file a
// page), and a template that draws it. Templates decide nothing but how things look. Styles, script and mark are embedded
// and served under the hash of their content, so that they can be kept for ever; the content security policy
// allows nothing else.
//
// Who may see or do what is decided by [Control], as for the API and the commands. The package imports the
// domain only. Start reading at [New], then production.go.
package webui
