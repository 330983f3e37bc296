package store

import (
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// glance is how many deployments are looked at on one way before another way is tried, which may have
// fewer to look at.
const glance = 500

// search returns the page of the deployments that fit the filter and have all its words. Nobody can know
// beforehand which is rarer, a word or what the rest of the filter asks for: among the newest that have
// the words, or the newest that fit the rest, a page is mostly complete. If it is not, all that have the
// words are gone through.
func (f filter) search(db *gorm.DB, apps selection) ([]deploymentRow, error) {
	all := sought(f.Text)
	if len(all) == 0 {
		return nil, nil // a text without words is in no deployment
	}
	if err := rarestFirst(db, all); err != nil {
		return nil, err
	}
	rows, whole, err := f.among(db, apps, all[1:], f.worded(db, all[0]))
	if err != nil || whole {
		return rows, err
	}
	fitting := db.Table("(?) AS fitting", f.page(db, apps, glance)).Select("number")
	rows, whole, err = f.among(db, apps, all, fitting)
	if err != nil || whole {
		return rows, err
	}
	q := f.on(of(apps, db.Model(&deploymentRow{}).Joins("JOIN words ON words.deployment = number AND words.word = ?", all[0])), true)
	err = having(q, all[1:]).Order("words.deployment " + f.order()).Limit(pageSize(f.Limit)).Find(&rows).Error
	return rows, err
}

// rarestFirst puts the word first that the fewest deployments have, as far as they are worth counting.
func rarestFirst(db *gorm.DB, all []string) error {
	if len(all) == 1 {
		return nil
	}
	counts, some := make([]string, len(all)), make([]any, len(all))
	for i, w := range all {
		counts[i] = fmt.Sprintf("SELECT %d AS place, COUNT(*) AS count FROM (?) AS seen%d", i, i)
		// In order, because PostgreSQL else takes a word that many have for one that is found soon wherever it
		// begins to read.
		some[i] = db.Model(&wordRow{}).Select("deployment").Where("word = ?", w).Order("deployment DESC").Limit(4 * glance)
	}
	var rarest int
	err := db.Raw("SELECT place FROM ("+strings.Join(counts, " UNION ALL ")+") AS every ORDER BY count, place LIMIT 1", some...).Scan(&rarest).Error
	all[0], all[rarest] = all[rarest], all[0]
	return err
}

// worded selects the numbers of the first deployments that have the word.
func (f filter) worded(db *gorm.DB, word string) *gorm.DB {
	q := db.Model(&wordRow{}).Select("deployment AS number").Where("word = ?", word)
	if f.Before != 0 {
		q = q.Where("deployment < ?", f.Before)
	}
	if f.After != 0 {
		q = q.Where("deployment > ?", f.After)
	}
	return q.Order("deployment " + f.order()).Limit(glance)
}

// leading selects the numbers of the first deployments that fit the first condition, of whatever app, or the
// first two where they are those of a user's failures.
func (f filter) leading(db *gorm.DB) *gorm.DB {
	q := db.Model(&deploymentRow{}).Select("number")
	if all := f.conditions(); len(all) > 0 {
		q = all[0].on(q)
		if f.usersFailures() {
			q = all[1].on(q)
		}
	}
	return f.between(q).Order("number " + f.order()).Limit(glance)
}

// among returns the page of those of some deployments, which are in the page's order, that fit and have the
// words, and whether that is the whole page: whether it is full, or there are no others to look at.
func (f filter) among(db *gorm.DB, apps selection, all []string, some *gorm.DB) ([]deploymentRow, bool, error) {
	var rows []deploymentRow
	err := having(f.on(of(apps, chosen(db, some)), true), all).
		Order("deployments.number " + f.order()).Limit(pageSize(f.Limit)).Find(&rows).Error
	if err != nil || len(rows) == pageSize(f.Limit) {
		return rows, true, err
	}
	var count int
	err = db.Raw("SELECT COUNT(*) FROM (?) AS seen", some).Scan(&count).Error
	return rows, count < glance, err
}

// chosen selects deployments by their numbers, so that no more of them are read than make a page: SQLite
// goes through a list of numbers in the order that is asked for, PostgreSQL through a table that is in it.
func chosen(db *gorm.DB, numbers *gorm.DB) *gorm.DB {
	q := db.Model(&deploymentRow{})
	if q.Name() == string(dialectSQLite) {
		return q.Where("deployments.number IN (?)", db.Table("(?) AS seen", numbers).Select("number"))
	}
	return q.Select("deployments.*").Joins("JOIN (?) AS seen ON seen.number = deployments.number", numbers)
}

// of adds the condition that is about apps.
func of(apps selection, q *gorm.DB) *gorm.DB {
	if apps.all {
		return q
	}
	return q.Where("app_id IN ?", apps.ids)
}

// having adds that a deployment has each of the words. It is asked as a value, so that no database makes a
// list of all that have it.
func having(q *gorm.DB, all []string) *gorm.DB {
	for _, w := range all {
		q = q.Where("(SELECT 1 FROM words w WHERE w.word = ? AND w.deployment = deployments.number) = 1", w)
	}
	return q
}
