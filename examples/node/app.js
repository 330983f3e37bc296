'use strict'

const http = require('node:http')
const { Guestbook } = require('./guestbook')

// createApp returns a server that is not listening yet.
function createApp (revision) {
  const book = new Guestbook()
  return http.createServer((request, response) => {
    const url = new URL(request.url, 'http://app')
    const answer = (status, text) => {
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' })
      response.end(text + '\n')
    }
    if (url.pathname === '/up') return answer(200, 'up')
    if (url.pathname === '/revision') return answer(200, revision)
    if (url.pathname === '/') {
      return answer(200, `Guest book in Node.js, revision ${revision}\nGuests: ${book.names.join(', ') || 'none yet'}`)
    }
    if (url.pathname === '/sign' && request.method === 'POST') {
      try {
        return answer(201, `Welcome, ${book.sign(url.searchParams.get('name') ?? '')}`)
      } catch (error) {
        return answer(400, error.message)
      }
    }
    answer(404, 'not found')
  })
}

module.exports = { createApp }
