// SPDX-License-Identifier: GPL-2.0-only

// A program that counts words: calls through an interface, which Go's profile-guided optimization
// makes direct, and small functions, which it inlines. The argument says how often.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

type visitor interface {
	visit(word string) int
}

type lengths struct{ sum int }

func (l *lengths) visit(word string) int {
	l.sum += len(word)
	return l.sum
}

type hashes struct{ sum uint32 }

func (h *hashes) visit(word string) int {
	v := uint32(2166136261)
	for i := 0; i < len(word); i++ {
		v = (v ^ uint32(word[i])) * 16777619
	}
	h.sum ^= v
	return int(h.sum & 1)
}

//go:noinline
func walk(words []string, v visitor) int {
	sum := 0
	for _, word := range words {
		sum += v.visit(word)
	}
	return sum
}

func main() {
	rounds := 300
	if len(os.Args) > 1 {
		rounds, _ = strconv.Atoi(os.Args[1])
	}
	words := strings.Fields(strings.Repeat("to be or not to be that is the question ", 3000))
	h, l := &hashes{}, &lengths{}
	sum := 0
	for i := 0; i < rounds; i++ {
		sum += walk(words, h)
		if i%50 == 0 {
			sum += walk(words, l)
		}
	}
	fmt.Println(sum, h.sum, l.sum)
}
