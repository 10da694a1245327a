// What ModelService.GetServerInfo tells.
#ifndef PETIT_SERVER_RPC_SERVER_INFO_H_
#define PETIT_SERVER_RPC_SERVER_INFO_H_

#include "petit/v1/model.pb.h"
#include "server/rpc/traffic.h"

namespace petit::serving {

// What does not change while the server runs, started now: its build, its machine. Reads files of /proc and the like.
v1::ServerInfo DescribeServer();

// `about` with the counts.
v1::ServerInfo WithCounts(v1::ServerInfo about, const Traffic::Counts& counts);

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_SERVER_INFO_H_
