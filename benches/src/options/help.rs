//! What `--help` says.

/// Printed by `--help`.
pub(crate) const HELP: &str = "\
parkade-bench COMMAND [OPTIONS]

  throughput  warm keep-alive, closed loop: --connections 64 --depth 1 --requests N --rounds 3
  churn       a connection per request: --connections 64 --requests N
  wake        random parked connections speak, open loop: --parked 15000 --rate 20000 --requests N
  beside      warm connections beside parked ones: --connections 64 --parked 15000 --requests N --rounds 15
              --limit RATIO (with / without); none of the parked may be lost
  idle        what parked connections cost, as a slope from --low 2000 to --parked 18000; --processes N clients; --hold 10
              seconds of silence
              --limit-bytes B (user memory of each)  --limit-wakeups N (in this time)  --limit-given-back SHARE (at least)
  million     --parked 1000000 of several processes on both sides: --children 64 of the server, memory beyond the first
              --low 2000, then --hold SECONDS of silence, one question to each, --requests 600000 at --rate 20000
              --limit-bytes B (user memory of each)  --limit-mb MB (of all, beyond the empty server)
              --limit-idle-cpu MS (of all children, each second)
  compare     two servers, interleaved: --a SERVER --b SERVER (default: reference) --rounds 15
              --workload throughput|pipelined|wrk|wake|churn|beside (beside: --b is a second --a, without the parked;
                                 wrk: warm keep-alive from that client)
              --limit RATIO      CPU per request, a / b: median of the rounds' ratios
              --limit-user US    user time per request of a, of it what the ticks say
              --limit-p50 US     how much longer the median answer of a may take than that of b
              --limit-calls N    system calls per request of a, counted from outside in a slice that is not timed
  compare A.json B.json   two results of one command (--json): what has changed, and what for the worse by more than
              --limit RATIO (1.05)
  backends    every backend there is here: the bare loops reference and reference-uring, and the server on epoll,
              epoll-oneshot and io_uring; all workloads, in rounds of A B C, A B C; ratios are to the first of them
  servers     the same for whole servers: parkade-file, nginx-file, apache2, h2o, lighttpd, haproxy
              --servers A,B,...  who takes part instead (any SERVER)
              --workload A,B,... of throughput, pipelined, large, large-pipelined, idle, wake, idle+active, churn, skew,
                                 blocking-20, blocking-200, timeouts, reload
              --out DIR          a result (JSON) for each server in each workload, and DIR/report.html
              --quick            a look of two minutes; --rounds, --requests, --parked ... of one's own choice
  report DIR  one page, DIR/report.html, of all results (--json) in DIR: bars of CPU per request and of memory, curves of
              latency, the machines and the commands
  restart     what clients notice of it: --children 4 --connections 100 --rate 2000 --case CASE
              graceful|hard|recycle|term|spare  --rounds 100 of them in a row under load, --parked 1000 beside it: USR1,
                                 HUP, MaxRequestsPerChild, TERM to single children, scale-down; nothing may fail and
                                 nobody be closed
              parked             --parked 50000 at once survive USR1: time and memory
              kill               --rounds 20 times kill -9 of a child under load: whom it hits, and for how long
              soak               --rounds 3600, one a second: memory and descriptors must not grow
              crash              --rounds 20 times SEGV of the only child with --parked 4000: until another one serves
  reload      graceful restarts, of other servers too (parkade-file, nginx, nginx-file, apache2): --rounds 20 of them under
              --rate 2000 on --connections 100, a fifth as many new connections, --parked 1000 beside it; --children 2
  timeouts    deadlines: --parked 15000 connections ask in turn, --requests 1000000 times in all, and each time renew
              theirs; then all are silent, and are closed when --keepalive 6 seconds are over: how late
  blocking    a handler that is busy for --block-ms 200, and what the others notice: --parked 2000 --rate 4000 --rounds 10
              --requests 16000 (in each)
              --case one|all (of the home workers)  --how spin|block  --limit-p99 MS (the median of the rounds' p99)
              --limit-worst MS (of the worst round); a round counts if the p99 before it is under 0.5 ms, and seven must
  skew        all busy connections live with one of two workers: --connections 16 --spin-us 50 --requests 20000
              --rounds 15  --limit-gain RATIO (requests/s with stealing / without, at least)  --limit RATIO (CPU)
  reference   the yardstick, a bare epoll loop, or --io-uring: a bare ring: --listen ADDR --workers N
              --echo  --body BYTES
  steady      a fixed number of requests in lock step, not timed, for a server that is watched from outside:
              --connections 16 --requests N --vary (no head is like the one before)

A limit is reached when it is not below the lower end of the 95 % interval of what was found; after a missed one the
exit code is 3. A verdict of compare or beside needs 15 rounds.

All loads take  --server SERVER       what to measure
                --pid PID             with a URL: the server's process (children are counted with it)
                --children N          processes of a server that is started here (threads of h2o and haproxy)
                --rivals DIR          where the binaries of rival-* are (default: benches/rivals/target/release)
                --workers N           threads of a rival-*, as of reference: 1
                --directive LINE      one more line of its configuration; may be given again
                --body BYTES          a larger answer than 13 bytes, of servers that can; 262144 at most
                --keepalive SECONDS   for which a server that is started here keeps idle connections: 300
                --under COMMAND       runs the server that is started, like valgrind
                --pin-server CORE     pins all its threads first; compare pins to core 0
                --pin-client CORE     default: the last core
                --json FILE           writes the results there too
SERVER is one of reference, reference-uring (the same through io_uring), reference-echo, parkade-echo, parkade-hello (built
beside this program), parkade-file (a 13-byte file of the server), each of ours also with +BACKEND behind it (epoll,
epoll-oneshot, io_uring), `parkade-file; LINE` with one more line of its own; nginx (a `return`), nginx-file, h2o, apache2, lighttpd (these four the 13-byte file), haproxy (an
`http-request return`), started with one
worker; rival-NAME, the same answer as reference on another runtime: mio, polling, polling-oneshot, monoio, monoio-uring,
compio, smol, hyper, hyper-flush (pipelined answers in one write), axum (built apart, see benches/rivals; skipped if it is
not); URL@PID, or in a load of its own URL, of one that runs; or a command with {addr} or {port} in it. URL is
http://host:port/path, or echo://host:port for a server that sends the request back.
";
