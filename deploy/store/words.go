package store

import (
	"slices"
	"strings"
	"unicode"

	"gorm.io/gorm/clause"

	"slipway/deploy"
)

// What full text is searched by. A text is taken apart here and not by the database, so that both kinds
// find the same: its words are its runs of letters and digits, in small letters, and where one is made of
// several (TestTotal, test2json) these as well.

// The bounds of what is kept of one text.
const (
	wordLength  = 64 // bytes
	wordsOfText = 256
)

// wordRow says that a word is in the reason or the commit's subject of a deployment.
type wordRow struct {
	Word       string        `gorm:"primaryKey"`
	Deployment deploy.Number `gorm:"primaryKey;autoIncrement:false"`
}

func (wordRow) TableName() string { return "words" }

// words returns the words of texts, each once, sorted.
func words(texts ...string) []string {
	var all []string
	for _, text := range texts {
		for run := range strings.FieldsFuncSeq(text, between) {
			all = append(all, word(run))
			if parts := parts(run); len(parts) > 1 && len(parts) <= wordsOfText {
				for _, part := range parts {
					all = append(all, word(part))
				}
			}
			if len(all) > 2*wordsOfText {
				break
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), wordsOfText)]
}

// between tells what stands between words.
func between(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
}

// word is a run in small letters, cut to the length that is kept.
func word(run string) string {
	run = strings.ToLower(run)
	if len(run) > wordLength {
		run = strings.ToValidUTF8(run[:wordLength], "")
	}
	return run
}

// parts takes a run apart where a capital letter follows a small one, and between letters and digits.
func parts(run string) []string {
	var all []string
	begin, before := 0, rune(0)
	for i, r := range run {
		border := unicode.IsLower(before) && unicode.IsUpper(r) || unicode.IsDigit(before) != unicode.IsDigit(r)
		if i > 0 && border {
			all, begin = append(all, run[begin:i]), i
		}
		before = r
	}
	return append(all, run[begin:])
}

// sought returns the words that a deployment must have all of to be found by a text.
func sought(text string) []string {
	var all []string
	for run := range strings.FieldsFuncSeq(text, between) {
		all = append(all, word(run))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	// The longest one first: of those that many have it is likely to be the rarest.
	slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all[:min(len(all), soughtWords)]
}

// soughtWords is how many words of a text are searched for.
const soughtWords = 16

// found has the event's deployment found by texts.
func (c change) found(n deploy.Number, texts ...string) error {
	all := words(texts...)
	if len(all) == 0 {
		return nil
	}
	rows := make([]wordRow, len(all))
	for i, w := range all {
		rows[i] = wordRow{Word: w, Deployment: n}
	}
	return c.tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows, rowsAtOnce).Error
}
