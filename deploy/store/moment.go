package store

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// moment is a time in a column: microseconds since 1970-01-01 UTC, NULL for the zero time.
type moment struct{ time.Time }

func at(t time.Time) moment { return moment{t} }

// Value implements driver.Valuer.
func (m moment) Value() (driver.Value, error) {
	if m.IsZero() {
		return nil, nil
	}
	return m.UnixMicro(), nil
}

// Scan implements sql.Scanner.
func (m *moment) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		m.Time = time.Time{}
	case int64:
		m.Time = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is a %T in the database", v)
	}
	return nil
}

// GormDataType keeps gorm from taking a moment for a struct with columns of its own.
func (moment) GormDataType() string { return "bigint" }
