// A control plane for a pilot-agent in a pod of its own: to each subscription it answers that there is
// nothing. That is enough for Envoy to become ready.
package main

import (
	"log"
	"net"
	"strconv"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
)

type server struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
}

// DeltaAggregatedResources answers new subscriptions. A request with a nonce acknowledges an answer.
func (server) DeltaAggregatedResources(
	stream discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer,
) error {
	for count := 1; ; count++ {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		if request.ResponseNonce != "" {
			continue
		}
		log.Print("nothing for ", request.TypeUrl)
		err = stream.Send(&discovery.DeltaDiscoveryResponse{
			TypeUrl:          request.TypeUrl,
			Nonce:            strconv.Itoa(count),
			RemovedResources: request.ResourceNamesSubscribe,
		})
		if err != nil {
			return err
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:15010")
	if err != nil {
		log.Fatal(err)
	}
	services := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(services, server{})
	log.Fatal(services.Serve(listener))
}
