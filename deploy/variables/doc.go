// Package variables keeps the apps' own variables, encrypted, in a file per app:
//
//	DATA/secret.key       the key, made with the first variable; mode 0600
//	DATA/apps/shop/env    the variables of shop: who set them and when, too
//
// [Store.Change] is the only way to write one; it replaces the file in one step that a power cut cannot
// halve. [Store.Read] decrypts all of an app's. [Store.Seal] encrypts what else of them has to be in a
// file, such as the environment that an instance was started with.
//
// The encryption is XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a random nonce. What is sealed
// belongs to one app and one purpose, and cannot be opened as another's. A file names the key that it
// needs by a fingerprint, so that a missing or a wrong key is told as such: [ErrNoKey]. A key is never
// made where something is encrypted already, because that would hide the loss.
//
// The package decides nothing: who may read what, and who sees which variable, is for its callers. Why it
// is made this way, and what it protects from, is in docs/adr/0007-variables.md.
package variables
