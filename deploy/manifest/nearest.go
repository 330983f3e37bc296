package manifest

// nearest returns the word closest to what was written, if one is so close that it was probably
// meant.
func nearest(written string, words []string) (string, bool) {
	best, bestDistance := "", len([]rune(written))/3+2
	for _, w := range words {
		if d := distance([]rune(written), []rune(w)); d < bestDistance {
			best, bestDistance = w, d
		}
	}
	return best, best != ""
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that lead from a
// to b (optimal string alignment). Long words are cut, since no known word is long.
func distance(a, b []rune) int {
	const longest = 64
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
