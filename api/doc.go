// Package api is the HTTP API for programs, under /api/v1, with echo.
//
// openapi.yaml is its source: generated.go, with the types, the routes and the strict server's interface,
// is made of it by make generate, and each request is checked against it before a handler sees it. What
// is asked goes to a [Control], which knows the caller's rights and records changes; here is only who
// the caller is, and how questions and answers look.
//
// Start reading at [New], then handlers such as apps.go. The package knows the domain and no other part
// of the server.
package api
