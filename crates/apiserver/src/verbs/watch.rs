//! Watch: the changes of what is selected, as a stream that loses nothing.

mod events;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apimachinery::status::Status;
use bytes::{Bytes, BytesMut};
use component_base::serving::{Aside, FinishBy, Trickle};
use flow_control::watchers::Registered;
use futures_util::{FutureExt, Stream, StreamExt};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response as HttpResponse, StatusCode};
use storage::cache::{EventKind, Freshness, Start, WatchEvent, WatchRequest};
use storage::{Error, Revision};
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::events::{Events, Failure};
use super::{Selection, offers, parse_version, renderer};
use crate::lifecycle::UnderWay;
use crate::metrics::{Held, WatchMeter};
use crate::objects::failed;
use crate::render::list::EventType;
use crate::render::{IncludeObject, Renderer, Source};
use crate::request::Request;
use crate::request::negotiate::{Encoding, Output, TableVersion, View, stream_not_acceptable};
use crate::request::options::ListOptions;
use crate::resource::Served;
use crate::response::{self, BoxError, Response};
use crate::stack::flow_control::WatchShare;
use crate::state::Api;

/// Frames of waiting events that one chunk of the response gathers at most.
const MAX_CHUNK_BYTES: usize = 64 * 1024;

/// A client that has not taken the last bytes that long after the end of its watch is cut off.
const END_GRACE: Duration = Duration::from_secs(60);

/// How long a watch has seats at most while its first state is sent.
const LONGEST_START: Duration = Duration::from_secs(10);

pub async fn watch(api: &Arc<Api>, served: &Arc<Served>, request: &mut Request) -> Result<Response, Status> {
    let output = request.output(offers(served))?;
    if output.encoding == Encoding::Yaml {
        return Err(stream_not_acceptable());
    }
    let mut query = request.query.clone();
    query.set("watch", "true");
    let options = ListOptions::parse(&query)?;
    let selection = Selection::new(served, &request.info, &options)?;
    let include = renderer(api, served, request, output)?.include;
    let wanted = watch_request(served, &selection, &options).await?;
    let share = request
        .watch_share
        .take()
        .map(|share| Share::new(share, matches!(wanted.start, Start::State(_))));
    let started = served.objects.cache.watch(wanted).await;
    let source = match started {
        Ok(watch) => Ok(Events::new(watch, &served.objects)),
        // A revision that is gone is told inside the stream, where clients look for it.
        Err(Error::Compacted { requested, oldest }) => Err(too_old(requested, oldest)),
        Err(error) => return Err(failed(&error)),
    };
    let row = served.row;
    let frames = Frames {
        api: api.clone(),
        meter: api.metrics.watch_meter(row.group, row.version, row.plural),
        served: served.clone(),
        output,
        include,
        columns_sent: false,
    };
    let held = api.metrics.long_running(request);
    let timeout = timeout(&options, api.min_request_timeout);
    let trickle = Trickle::default();
    let chunks = chunks(source, frames, timeout, trickle.clone(), held, share);
    if crate::websocket::is_upgrade(request) {
        return crate::websocket::serve(request, chunks, output.encoding);
    }
    let mut answer = HttpResponse::new(response::stream(chunks));
    *answer.status_mut() = StatusCode::OK;
    let extensions = answer.extensions_mut();
    extensions.insert(FinishBy(Instant::now() + timeout + END_GRACE));
    extensions.insert(trickle);
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static(output.encoding.stream_media_type()),
    );
    Ok(answer)
}

/// Where the watch starts and what it wants, in the cache's words.
async fn watch_request(
    served: &Served,
    selection: &Selection,
    options: &ListOptions,
) -> Result<WatchRequest, Status> {
    let initial = options.send_initial_events;
    let freshness = match options.resource_version.as_str() {
        "" => Freshness::Latest,
        "0" => Freshness::Any,
        version => Freshness::AtLeast(Revision(parse_version(version)?)),
    };
    let start = match (initial, freshness) {
        (Some(true), freshness) => Start::State(freshness),
        (_, Freshness::AtLeast(revision)) => Start::After(revision),
        (_, freshness) => {
            let now = served
                .objects
                .cache
                .snapshot(freshness)
                .await
                .map_err(|error| failed(&error))?;
            Start::After(now.revision())
        }
    };
    Ok(WatchRequest {
        scope: selection.scope().clone(),
        start,
        predicate: selection.predicate(),
        bookmarks: options.allow_watch_bookmarks,
        initial_events_end: initial == Some(true) && options.allow_watch_bookmarks,
    })
}

/// The client's timeout; else a random one in the upper half, so that watches don't all end together.
fn timeout(options: &ListOptions, minimum: Duration) -> Duration {
    match options
        .timeout_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|seconds| *seconds > 0)
    {
        Some(seconds) => Duration::from_secs(seconds),
        None => {
            let random = uuid::Uuid::new_v4().as_u128() as u32;
            minimum.mul_f64(1.0 + f64::from(random) / f64::from(u32::MAX))
        }
    }
}

fn too_old(requested: Revision, oldest: Revision) -> Status {
    Status::expired(format!("too old resource version: {requested} ({oldest})"))
}

/// What makes frames of events.
struct Frames {
    api: Arc<Api>,
    meter: WatchMeter,
    served: Arc<Served>,
    output: Output,
    include: IncludeObject,
    /// The columns of a table come with the first event only.
    columns_sent: bool,
}

/// The chunks of the response, until the timeout, an error or the server's end.
fn chunks(
    source: Result<Events, Status>,
    frames: Frames,
    timeout: Duration,
    trickle: Trickle,
    held: Held,
    share: Option<Share>,
) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static {
    let (under_way, dismissed) = frames.api.lifecycle.begin_watch();
    Chunks {
        end: Aside::new(async move {
            tokio::select! {
                () = tokio::time::sleep(timeout) => {}
                () = dismissed => {}
            }
        }),
        source: Some(source),
        frames,
        trickle,
        share,
        _held: (held, under_way),
    }
}

/// A watch's part in flow control: it counts as a watcher to its end, and has seats until it is under way.
struct Share {
    /// Gives back the seats when it is dropped.
    started: Option<oneshot::Sender<()>>,
    _registered: Option<Registered>,
}

impl Share {
    fn new(share: WatchShare, sends_state: bool) -> Share {
        let WatchShare { seats, registered } = share;
        let started = sends_state.then(|| {
            let (started, start) = oneshot::channel::<()>();
            tokio::spawn(async move {
                // A client that does not read its first state keeps others from nothing.
                tokio::time::timeout(LONGEST_START, start).await.ok();
                drop(seats);
            });
            started
        });
        Share {
            started,
            _registered: registered,
        }
    }
}

struct Chunks<E> {
    /// The watch is to end, whatever there is to tell.
    end: Aside<E>,
    /// `None` after the last event.
    source: Option<Result<Events, Status>>,
    frames: Frames,
    trickle: Trickle,
    /// In flow control.
    share: Option<Share>,
    _held: (Held, UnderWay),
}

impl<E: Future<Output = ()>> Stream for Chunks<E> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.end.poll_unpin(cx).is_ready() {
            self.source = None;
        }
        self.poll_chunk(cx).map(|chunk| chunk.map(Ok))
    }
}

impl<E> Chunks<E> {
    /// The next event's frame, and those of events that wait already.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        let watch = match source {
            Ok(watch) => watch,
            Err(status) => {
                let frame = self.frames.error(status);
                self.source = None;
                return Poll::Ready(frame);
            }
        };
        let Poll::Ready(first) = watch.poll_next_unpin(cx) else {
            // What the watch started with is sent.
            self.trickle.begin();
            if let Some(share) = &mut self.share {
                share.started = None;
            }
            return Poll::Pending;
        };
        let chunk = match self.frames.event(first) {
            Ok(frame) => frame,
            Err(last) => {
                self.source = None;
                return Poll::Ready(last);
            }
        };
        // Most of the time one event is all there is: its shared frame is sent as it stands.
        let Some(second) = watch.next_waiting() else {
            return Poll::Ready(Some(chunk));
        };
        let mut gathered = BytesMut::from(&chunk[..]);
        let mut next = Some(second);
        while let Some(event) = next {
            match self.frames.event(Some(Ok(event))) {
                Ok(frame) => gathered.extend_from_slice(&frame),
                Err(last) => {
                    gathered.extend_from_slice(&last.unwrap_or_default());
                    self.source = None;
                    break;
                }
            }
            next = (gathered.len() < MAX_CHUNK_BYTES)
                .then(|| watch.next_waiting())
                .flatten();
        }
        Poll::Ready(Some(gathered.freeze()))
    }
}

impl Frames {
    /// The frame of an item; `Err` with the last frame, if any, when nothing may follow.
    fn event(&mut self, item: Option<Result<WatchEvent, Failure>>) -> Result<Bytes, Option<Bytes>> {
        let event = match item {
            None => return Err(None),
            Some(Ok(event)) => event,
            Some(Err(Failure::Conversion(status))) => return Err(self.error(&status)),
            Some(Err(Failure::Store(error))) => return Err(self.ended(&error)),
        };
        self.render(&event).map_err(|status| self.error(&status))
    }

    /// The last frame of a watch that the store ends.
    fn ended(&self, error: &Error) -> Option<Bytes> {
        match error {
            Error::Compacted { requested, oldest } => self.error(&too_old(*requested, *oldest)),
            Error::Slow => self.error(&Status::expired("the watcher fell behind: events were dropped")),
            // Its clients find out by looking again.
            Error::Retired => None,
            error => self.error(&failed(error)),
        }
    }

    fn render(&mut self, event: &WatchEvent) -> Result<Bytes, Status> {
        let is_table = matches!(self.output.view, View::Table(_));
        match event {
            WatchEvent::Bookmark {
                revision,
                initial_events_end,
            } => self.renderer().bookmark(revision.0, *initial_events_end),
            WatchEvent::Object(event) => {
                let with_columns = is_table && !std::mem::replace(&mut self.columns_sent, true);
                let kind = match event.kind {
                    EventKind::Added => EventType::Added,
                    EventKind::Modified => EventType::Modified,
                    EventKind::Deleted => EventType::Deleted,
                };
                let frame = event.frame(self.tag(with_columns), |event| {
                    self.renderer().event(
                        kind,
                        &Source::Cached(&event.entry, event.revision.0),
                        with_columns,
                    )
                })?;
                self.meter.sent(frame.len());
                Ok(frame)
            }
        }
    }

    fn renderer(&self) -> Renderer<'_> {
        Renderer {
            served: &self.served,
            output: self.output,
            include: self.include,
            now: self.api.clock.now(),
            kept: &self.api.kept,
        }
    }

    fn error(&self, status: &Status) -> Option<Bytes> {
        match self.renderer().error(status) {
            Ok(frame) => Some(frame),
            Err(error) => {
                tracing::error!(%error, "cannot encode the error that ends a watch");
                None
            }
        }
    }

    /// Tells apart all the frames that one event can have.
    fn tag(&self, with_columns: bool) -> u16 {
        let encoding = u16::from(self.output.encoding == Encoding::Protobuf);
        let view = match self.output.view {
            View::Full => 0,
            View::Metadata => 1,
            View::Table(TableVersion::V1) => 2,
            View::Table(TableVersion::V1Beta1) => 3,
        };
        let version = self.served.variant();
        encoding | view << 1 | (self.include as u16) << 3 | u16::from(with_columns) << 5 | version << 6
    }
}
