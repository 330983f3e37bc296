package webui

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"slipway/deploy"
)

// productionInterval is how often production is looked at for those who watch it.
const productionInterval = time.Second

// productionLive answers /live with what changes on the page of production.
func (s *Site) productionLive(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	out, err := s.begun(w, r)
	if err == nil {
		err = out.run(r.Context(), productionInterval, s.Stopping, func(ctx context.Context) (bool, error) {
			parts, err := s.quays.parts(ctx, s, who)
			for i := 0; i < len(parts) && err == nil; i++ {
				err = out.part(parts[i])
			}
			return false, err
		})
	}
	return s.cut(r, err)
}

// quays share the parts of the production page among those who may see the same.
type quays struct {
	mu  sync.Mutex
	all map[string]*quay
}

// quay is production as somebody sees it.
type quay struct {
	mu    sync.Mutex
	at    time.Time
	parts []livePart
}

// maxQuays bounds what is kept for readers who have gone.
const maxQuays = 100

// of returns what those see who may do what the caller may.
func (q *quays) of(who deploy.Caller) *quay {
	key := fmt.Sprintf("%s %t", who.User, who.Admin)
	if who.Limit != nil {
		key += fmt.Sprintf(" %+v", *who.Limit)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	one := q.all[key]
	if one == nil {
		if q.all == nil || len(q.all) >= maxQuays {
			q.all = map[string]*quay{}
		}
		one = &quay{}
		q.all[key] = one
	}
	return one
}

// parts returns the parts of the page as the caller sees them, read once an interval for all who see the same.
func (q *quays) parts(ctx context.Context, s *Site, who deploy.Caller) ([]livePart, error) {
	one := q.of(who)
	one.mu.Lock()
	defer one.mu.Unlock()
	now := s.Now()
	if one.parts != nil && now.Sub(one.at) < productionInterval {
		return one.parts, nil
	}
	berths, err := s.berths(ctx, who)
	if err != nil {
		return nil, err
	}
	parts, err := s.berthParts(&ProductionPage{Frame: Frame{Now: now, Caller: who, Name: nameOf(who)}, Berths: berths})
	if err != nil {
		return nil, err
	}
	one.at, one.parts = now, parts
	return parts, nil
}

// berthParts are the parts of the page that change by themselves: each app's, and before them one that holds
// all of them and changes when there are others.
func (s *Site) berthParts(page *ProductionPage) ([]livePart, error) {
	all, err := s.part("berths", "production", "berths", page)
	if err != nil {
		return nil, err
	}
	summary, err := s.part("summary", "production", "summary", page)
	if err != nil {
		return nil, err
	}
	names, parts := "", []livePart{all, summary}
	for _, b := range page.Berths {
		p, err := s.part("app-"+string(b.App), "production", "berth-content", placed{page.Now, b})
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
		names += " " + string(b.App)
	}
	parts[0].sum = sumOf(names)
	return parts, nil
}
