//go:build unix

package etcdtest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
)

// Elections are ten times as fast as by default, so that tests need not wait for them; what the clients see is the same.
const (
	tick     = 50  // milliseconds
	election = 500 // milliseconds
)

// serve is a server until its process ends.
func serve(config string) int {
	err := func() error {
		var m member
		if err := json.Unmarshal([]byte(config), &m); err != nil {
			return err
		}
		server, err := m.start()
		if err != nil {
			return err
		}
		return <-server.Err()
	}()
	fmt.Fprintln(os.Stderr, "etcdtest:", err)
	return 1
}

func (m *member) start() (*embed.Etcd, error) {
	client, err := url.Parse(m.Client)
	if err != nil {
		return nil, err
	}
	peer, err := url.Parse(m.Peer)
	if err != nil {
		return nil, err
	}
	c := embed.NewConfig()
	c.Name, c.Dir = m.Name, m.Dir
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	c.InitialCluster = m.Cluster
	c.TickMs, c.ElectionMs = tick, election
	c.QuotaBackendBytes = m.Quota
	c.LogLevel = "error"
	if m.TLS != nil {
		c.ClientTLSInfo = transport.TLSInfo{CertFile: m.TLS.Cert, KeyFile: m.TLS.Key, TrustedCAFile: m.TLS.ClientCA, ClientCertAuth: m.TLS.ClientCA != ""}
	}
	return embed.StartEtcd(c)
}
