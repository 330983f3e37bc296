'use strict'

// A guest book keeps the newest names, at most `limit`.
class Guestbook {
  constructor (limit = 100) {
    this.limit = limit
    this.names = []
  }

  sign (name) {
    const clean = String(name).trim()
    if (clean === '' || clean.length > 40) throw new RangeError('a name has 1 to 40 characters')
    this.names = [clean, ...this.names].slice(0, this.limit)
    return clean
  }
}

module.exports = { Guestbook }
