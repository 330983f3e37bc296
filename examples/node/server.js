'use strict'

const { createApp } = require('./app')

const port = Number(process.env.PORT)
const revision = process.env.SLIPWAY_REVISION || 'unknown'
const server = createApp(revision)

server.listen(port, '127.0.0.1', () => console.log(`guest book, revision ${revision}, on port ${port}`))
process.on('SIGTERM', () => {
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})
