package peers

import (
	"math"
	"math/rand/v2"
)

// zipf draws numbers below n, of which few are drawn often: the generator of YCSB, with its constant 0.99, from Gray and
// others, "Quickly Generating Billion-Record Synthetic Databases", SIGMOD 1994. That of math/rand needs a constant above 1.
type zipf struct {
	n                       int
	zetan, alpha, eta, half float64
}

const theta = 0.99

func newZipf(n int) *zipf {
	zeta := func(n int) (sum float64) {
		for i := 1; i <= n; i++ {
			sum += 1 / math.Pow(float64(i), theta)
		}
		return sum
	}
	z := &zipf{n: n, zetan: zeta(n), alpha: 1 / (1 - theta), half: 1 + math.Pow(0.5, theta)}
	z.eta = (1 - math.Pow(2/float64(n), 1-theta)) / (1 - zeta(2)/z.zetan)
	return z
}

// rank draws a number: 0 most often.
func (z *zipf) rank(r *rand.Rand) int {
	u := r.Float64()
	uz := u * z.zetan
	switch {
	case uz < 1:
		return 0
	case uz < z.half:
		return 1
	}
	return min(z.n-1, int(float64(z.n)*math.Pow(z.eta*u-z.eta+1, z.alpha)))
}

// scrambled draws a number, such that those that are drawn often are not neighbours.
func (z *zipf) scrambled(r *rand.Rand) int {
	x := uint64(z.rank(r)) * 0x9e3779b97f4a7c15
	return int((x >> 20) % uint64(z.n))
}
