package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"slipway/deploy"
)

// appRow is an app. One that was removed keeps its row and ID; its name may be given again.
type appRow struct {
	ID           uint32 `gorm:"primaryKey;autoIncrement:false"`
	Name         deploy.AppName
	GatedRef     deploy.RefName
	ObjectFormat string
	CreatedAt    moment `gorm:"autoCreateTime:false"`
	RemovedAt    moment
}

func (appRow) TableName() string { return "apps" }

func (r appRow) app() deploy.App {
	return deploy.App{Name: r.Name, ID: r.ID, GatedRef: r.GatedRef, ObjectFormat: r.ObjectFormat, CreatedAt: r.CreatedAt.Time}
}

type grantRow struct {
	AppID    uint32          `gorm:"primaryKey;autoIncrement:false"`
	UserName deploy.UserName `gorm:"primaryKey"`
	Role     deploy.Role
}

func (grantRow) TableName() string { return "grants" }

// Apps returns all apps by name, for those who may see everything.
func (s *Store) Apps(ctx context.Context) ([]deploy.App, error) {
	return s.apps(s.read.WithContext(ctx))
}

// AppsVisible returns the apps that a user may see, by name: all of them for an admin, those with a
// grant for others, none for somebody unknown.
func (s *Store) AppsVisible(ctx context.Context, user deploy.UserName) ([]deploy.App, error) {
	db := s.read.WithContext(ctx)
	return s.apps(db.Where("id IN (?)", visibleTo(db, user)))
}

// visibleTo selects the IDs of the apps that a user may see.
func visibleTo(db *gorm.DB, user deploy.UserName) *gorm.DB {
	return db.Raw("SELECT app_id FROM grants WHERE user_name = ?"+
		" UNION SELECT a.id FROM apps a, users u WHERE u.name = ? AND u.role = ?", user, user, deploy.RoleAdmin)
}

func (s *Store) apps(db *gorm.DB) ([]deploy.App, error) {
	var rows []appRow
	if err := db.Order("name").Find(&rows, "removed_at IS NULL").Error; err != nil {
		return nil, fmt.Errorf("reading apps: %w", err)
	}
	return each(rows, appRow.app), nil
}

// RemovedApps returns the apps that were removed and whose name was not given again.
func (s *Store) RemovedApps(ctx context.Context) ([]deploy.App, error) {
	db := s.read.WithContext(ctx)
	var rows []appRow
	err := db.Order("id").Find(&rows, "removed_at IS NOT NULL AND name NOT IN (?)", db.Model(&appRow{}).Select("name").Where("removed_at IS NULL")).Error
	if err != nil {
		return nil, fmt.Errorf("reading removed apps: %w", err)
	}
	return each(rows, appRow.app), nil
}

// App returns an app, or [deploy.ErrNotFound].
func (s *Store) App(ctx context.Context, name deploy.AppName) (deploy.App, error) {
	row, err := appNamed(s.read.WithContext(ctx), name)
	if err != nil {
		return deploy.App{}, err
	}
	return row.app(), nil
}

func appNamed(db *gorm.DB, name deploy.AppName) (appRow, error) {
	var row appRow
	if err := db.Take(&row, "name = ? AND removed_at IS NULL", name).Error; err != nil {
		return appRow{}, fmt.Errorf("reading app %s: %w", name, translated(err))
	}
	return row, nil
}

// NextAppID is an ID that no app has, or had.
func (s *Store) NextAppID(ctx context.Context) (uint32, error) {
	var id uint32
	err := s.read.WithContext(ctx).Raw("SELECT COALESCE(MAX(id), 0) + 1 FROM apps").Scan(&id).Error
	if err != nil {
		return 0, fmt.Errorf("reading the apps' IDs: %w", err)
	}
	return id, nil
}

// Grants returns the grants on an app by user.
func (s *Store) Grants(ctx context.Context, app deploy.AppName) ([]deploy.Grant, error) {
	db := s.read.WithContext(ctx)
	row, err := appNamed(db, app)
	if err != nil {
		return nil, err
	}
	var rows []grantRow
	if err := db.Order("user_name").Find(&rows, "app_id = ?", row.ID).Error; err != nil {
		return nil, fmt.Errorf("reading the grants on %s: %w", app, err)
	}
	return each(rows, func(r grantRow) deploy.Grant {
		return deploy.Grant{App: app, User: r.UserName, Role: r.Role}
	}), nil
}

// Access returns an app and what a user was granted on it, "" for nothing. [deploy.ErrNotFound] says
// that there is no such app. What the grant means is for [deploy.Allows] to say.
func (s *Store) Access(ctx context.Context, user deploy.UserName, app deploy.AppName) (deploy.App, deploy.Role, error) {
	db := s.read.WithContext(ctx)
	row, err := appNamed(db, app)
	if err != nil {
		return deploy.App{}, "", err
	}
	var grant grantRow
	err = db.Take(&grant, "app_id = ? AND user_name = ?", row.ID, user).Error
	if err != nil && !errors.Is(err, gorm.ErrRecordNotFound) {
		return deploy.App{}, "", fmt.Errorf("reading the grant of %s on %s: %w", user, app, err)
	}
	return row.app(), grant.Role, nil
}

func (c change) appCreated() error {
	var a deploy.App
	if err := c.data(&a); err != nil {
		return err
	}
	if a.Name == "" || a.ID == 0 {
		return unfit("an app needs a name and an ID")
	}
	var n int64
	err := c.tx.Model(&appRow{}).Where("id = ? OR name = ? AND removed_at IS NULL", a.ID, a.Name).Count(&n).Error
	if err != nil || n > 0 {
		return cmp.Or(err, unfit("there is an app %s, or one with ID %d, already", a.Name, a.ID))
	}
	row := appRow{ID: a.ID, Name: a.Name, GatedRef: a.GatedRef, ObjectFormat: a.ObjectFormat, CreatedAt: at(cmp.Or(a.CreatedAt, c.e.At))}
	return c.tx.Create(&row).Error
}

// appRemoved hides the app. Its deployments stay; nobody is granted anything, and nothing serves.
func (c change) appRemoved() error {
	app, err := c.app()
	if err != nil {
		return err
	}
	if err := c.tx.Model(&appRow{}).Where("id = ?", app.ID).Update("removed_at", at(c.e.At)).Error; err != nil {
		return err
	}
	if err := c.tx.Delete(&grantRow{}, "app_id = ?", app.ID).Error; err != nil {
		return err
	}
	if err := c.revokeTokens("app = ?", app.Name); err != nil {
		return err
	}
	if err := c.tx.Delete(&targetRow{}, "app_id = ?", app.ID).Error; err != nil {
		return err
	}
	return c.tx.Model(&releaseRow{}).Where("app_id = ? AND pruned_at IS NULL", app.ID).Update("pruned_at", at(c.e.At)).Error
}

func (c change) grantSet() error {
	var g deploy.Grant
	if err := c.data(&g); err != nil {
		return err
	}
	c.e.App = cmp.Or(c.e.App, g.App)
	app, err := c.app()
	if err != nil {
		return err
	}
	if g.Role == "" {
		return c.tx.Delete(&grantRow{}, "app_id = ? AND user_name = ?", app.ID, g.User).Error
	}
	if err := c.knownUser(g.User); err != nil {
		return err
	}
	return c.put(&grantRow{AppID: app.ID, UserName: g.User, Role: g.Role})
}

// apps remembers, while events are taken in, which app each of them is about.
type apps struct {
	tx      *gorm.DB
	named   map[deploy.AppName]uint32
	numbers map[deploy.Number]uint32
}

func appsOf(tx *gorm.DB) apps {
	return apps{tx, map[deploy.AppName]uint32{}, map[deploy.Number]uint32{}}
}

// during has the event taken in and returns the ID of its app, as it is afterwards or, if the event
// removes the app, was before.
func (a apps) during(e deploy.Event, take func() error) (uint32, error) {
	if e.Type == deploy.EventAppRemoved {
		id, err := a.of(e)
		if err == nil {
			delete(a.named, e.App)
			err = take()
		}
		return id, err
	}
	if e.Type == deploy.EventAppCreated {
		delete(a.named, e.App)
	}
	if err := take(); err != nil {
		return 0, err
	}
	return a.of(e)
}

// of returns the ID of the event's app, zero for none. A deployment stays its app's, also when the name
// is another's by now.
func (a apps) of(e deploy.Event) (uint32, error) {
	if e.App == "" {
		return 0, nil
	}
	if e.Deployment != 0 {
		id, err := idOf(a.tx, a.numbers, e.Deployment, "SELECT app_id FROM deployments WHERE number = ?")
		if id != 0 || err != nil {
			return id, err
		}
	}
	return idOf(a.tx, a.named, e.App, "SELECT id FROM apps WHERE name = ? AND removed_at IS NULL")
}

// idOf asks for an ID, zero for none, unless it is known.
func idOf[K comparable](tx *gorm.DB, known map[K]uint32, key K, query string) (uint32, error) {
	if id, ok := known[key]; ok {
		return id, nil
	}
	var ids []uint32
	if err := tx.Raw(query, key).Scan(&ids).Error; err != nil || len(ids) == 0 {
		return 0, err
	}
	known[key] = ids[0]
	return ids[0], nil
}

// app is the app of the event.
func (c change) app() (appRow, error) {
	row, err := appNamed(c.tx, c.e.App)
	if errors.Is(err, deploy.ErrNotFound) {
		return appRow{}, unfit("there is no app %q", c.e.App)
	}
	return row, err
}
