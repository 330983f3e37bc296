package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"slipway/deploy"
)

func (h handlers) GetStatistics(ctx context.Context, r GetStatisticsRequestObject) (GetStatisticsResponseObject, error) {
	until := r.Params.Until
	if until.IsZero() {
		until = time.Now()
	}
	s, err := h.control.Statistics(ctx, callerOf(ctx), deploy.StatisticsFilter{App: deploy.AppName(r.Params.App), Weeks: r.Params.Weeks, Until: until})
	return statistics(s), err
}

// statistics answer as the domain writes them, so that `slipway stats -json` says the same.
type statistics deploy.Statistics

// VisitGetStatisticsResponse implements GetStatisticsResponseObject.
func (s statistics) VisitGetStatisticsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(deploy.Statistics(s))
}
