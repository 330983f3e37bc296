'use strict'

const test = require('node:test')
const assert = require('node:assert/strict')
const { Guestbook } = require('../guestbook')
const { createApp } = require('../app')

test('keeps the newest guests first', () => {
  const book = new Guestbook(2)
  for (const name of ['Ada', ' Grace ', 'Edsger']) book.sign(name)
  assert.deepEqual(book.names, ['Edsger', 'Grace'])
})

test('refuses a guest without a name', () => {
  assert.throws(() => new Guestbook().sign('  '), RangeError)
})

test('answers over HTTP with its revision', async (t) => {
  const server = createApp('0123abc')
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => { server.closeAllConnections(); server.close() })
  const base = `http://127.0.0.1:${server.address().port}`

  assert.equal((await fetch(base + '/up')).status, 200)
  assert.equal((await fetch(base + '/sign?name=Ada', { method: 'POST' })).status, 201)
  assert.equal((await fetch(base + '/sign', { method: 'POST' })).status, 400)
  const page = await (await fetch(base + '/')).text()
  assert.match(page, /revision 0123abc/)
  assert.match(page, /Guests: Ada/)
})
