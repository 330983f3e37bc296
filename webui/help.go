package webui

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"

	"slipway/deploy"
)

// help shows the manual, and to admins the configuration that is in force.
func (s *Site) help(w http.ResponseWriter, r *http.Request, who deploy.Caller) error {
	page := &HelpPage{Frame: s.frame(who, "Help", "help"), Topics: s.Manual.Topics()}
	name := r.URL.Query().Get("topic")
	for i, topic := range page.Topics {
		if topic.Name == name || i == 0 && name == "" {
			page.Topic = topic
		}
	}
	if page.Topic.Name == "" {
		return deploy.Reject(deploy.CodeNotFound, "the manual has no page %.60q", name)
	}
	if page.Topic.Markdown {
		var err error
		if page.Prose, err = prose(page.Topic.Text); err != nil {
			return err
		}
	}
	if who.Everything() {
		page.Setting = s.Manual.Settings()
	}
	return s.show(w, http.StatusOK, "help", page)
}

// prose makes a page of Markdown. What looks like HTML in it is left out.
func prose(text string) (template.HTML, error) {
	var html strings.Builder
	markdown := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	if err := markdown.Convert([]byte(text), &html); err != nil {
		return "", fmt.Errorf("making a page of Markdown: %w", err)
	}
	return template.HTML(html.String()), nil
}
