package store

import (
	"gorm.io/gorm"

	"slipway/deploy"
)

// glance is how many deployments are looked at on one way before another way is tried, which may have
// fewer to look at.
const glance = 500

// search returns the page of the deployments that fit the filter and have all its words. Nobody can know
// beforehand which is rarer, a word or what the rest of the filter asks for: among the newest that have
// the words, or the newest that fit the rest, a page is mostly complete. If it is not, all that have the
// words are gone through.
func (f filter) search(db *gorm.DB, apps selection) ([]deploymentRow, error) {
	all, limit := sought(f.Text), pageSize(f.Limit)
	if len(all) == 0 {
		return nil, nil // a text without words is in no deployment
	}
	for _, numbers := range []func() ([]deploy.Number, error){
		func() ([]deploy.Number, error) { return f.worded(db, all) },
		func() ([]deploy.Number, error) { return f.fitting(db, apps) },
	} {
		some, err := numbers()
		if err != nil {
			return nil, err
		}
		rows, err := f.among(db, apps, all, some)
		if err != nil || len(rows) == limit || len(some) < glance {
			return rows, err
		}
	}
	q := f.on(of(apps, db.Model(&deploymentRow{}).Joins("JOIN words ON words.deployment = number AND words.word = ?", all[0])))
	var rows []deploymentRow
	err := having(q, all[1:]).Order("words.deployment " + f.order()).Limit(limit).Find(&rows).Error
	return rows, err
}

// worded returns the numbers of the first deployments that have the words.
func (f filter) worded(db *gorm.DB, all []string) ([]deploy.Number, error) {
	q := db.Model(&wordRow{}).Where("word = ?", all[0])
	if f.Before != 0 {
		q = q.Where("deployment < ?", f.Before)
	}
	if f.After != 0 {
		q = q.Where("deployment > ?", f.After)
	}
	var some []deploy.Number
	err := q.Order("deployment "+f.order()).Limit(glance).Pluck("deployment", &some).Error
	return some, err
}

// fitting returns the numbers of the first deployments that fit all but the text.
func (f filter) fitting(db *gorm.DB, apps selection) ([]deploy.Number, error) {
	var rows []struct{ Number deploy.Number }
	err := db.Raw("SELECT number FROM (?) AS fitting", f.page(db, apps, glance)).Scan(&rows).Error
	return each(rows, func(r struct{ Number deploy.Number }) deploy.Number { return r.Number }), err
}

// among returns the page of those of some deployments that fit and have the words.
func (f filter) among(db *gorm.DB, apps selection, all []string, some []deploy.Number) ([]deploymentRow, error) {
	q := having(f.on(of(apps, db.Model(&deploymentRow{}).Where("number IN ?", some))), all)
	var rows []deploymentRow
	err := q.Order("number " + f.order()).Limit(pageSize(f.Limit)).Find(&rows).Error
	return rows, err
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
