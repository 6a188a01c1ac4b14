//! Streams through the traits of futures-io.
#![cfg(feature = "futures-io")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use futures_io::{AsyncRead, AsyncWrite};
use parkade::{Runtime, UnixStream, Workers, spawn};
use std::future::poll_fn;
use std::io::{IoSlice, IoSliceMut};
use std::pin::Pin;

/// Code that knows of no runtime: copies until the end, then says so.
async fn copy<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(mut from: R, mut to: W) -> usize {
    let (mut head, mut tail) = ([0; 10], [0; 5000]);
    let mut all = 0;
    loop {
        let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
        let read = poll_fn(|cx| Pin::new(&mut from).poll_read_vectored(cx, &mut bufs));
        let n = read.await.unwrap();
        if n == 0 {
            poll_fn(|cx| Pin::new(&mut to).poll_flush(cx))
                .await
                .unwrap();
            poll_fn(|cx| Pin::new(&mut to).poll_close(cx))
                .await
                .unwrap();
            return all;
        }
        all += n;
        let bytes = [&head[..n.min(10)], &tail[..n.saturating_sub(10)]].concat();
        let mut left = &bytes[..];
        while !left.is_empty() {
            let pieces = [IoSlice::new(left)];
            let write = poll_fn(|cx| Pin::new(&mut to).poll_write_vectored(cx, &pieces));
            left = &left[write.await.unwrap()..];
        }
    }
}

#[test]
fn foreign_code_copies_from_stream_to_stream() {
    let builder = Runtime::builder().workers(Workers::Count(1));
    let runtime = builder.build().unwrap();
    let talk = || async {
        let (source, a) = UnixStream::pair().unwrap();
        let (b, sink) = UnixStream::pair().unwrap();
        let copied = spawn(async move { (copy(&a, &b).await, b) });
        let writer = spawn(async move {
            source.write_all(&vec![3; 50_000]).await.unwrap();
        });
        let (reader, halved) = sink.into_split();
        let echoed = spawn(copy(reader, halved));
        writer.await;
        let (copied, open) = copied.await;
        let counts = (copied, echoed.await);
        drop(open);
        counts
    };
    let counts = parkade::block_on(runtime.handle().spawn_on(0, talk));
    assert_eq!(counts.0, 50_000);
    assert_eq!(counts.1, 50_000);
}
