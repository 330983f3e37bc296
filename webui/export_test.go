package webui

// Patterns are the addresses for those who are signed in.
func (s *Site) Patterns() []string {
	var all []string
	for pattern := range s.actions() {
		all = append(all, pattern)
	}
	return all
}
