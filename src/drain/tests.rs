//! What watchers hear of a drain, and when it is over.

use std::pin::pin;

use super::*;

fn plan() -> Plan {
    Plan::now(Duration::from_secs(30))
}

#[tokio::test]
async fn wakes_those_who_wait_and_waits_for_them() {
    let drain = Drain::default();
    let watch = drain.watch();
    let session = tokio::spawn(async move { watch.beyond(Stage::Open).await });
    tokio::task::yield_now().await;
    tokio::join!(drain.begun(), async { drain.begin(plan()) });
    assert_eq!(session.await.unwrap(), Stage::Draining);
    drain.ended().await;
}

#[tokio::test]
async fn waits_for_one_that_another_drain_counts() {
    let [first, second] = [Drain::default(), Drain::default()];
    let watches = [first.watch(), second.watch()];
    let other = second.watch();
    watches[1].count_elsewhere();
    assert_eq!([first.counted(), second.counted()], [1, 1]);
    assert_eq!(second.open(), 2);
    drop(watches);
    assert_eq!([first.counted(), second.counted()], [0, 1]);
    drop(other);
    second.ended().await;
}

#[tokio::test]
async fn tells_one_that_joins_late_at_once() {
    let drain = Drain::default();
    drain.begin(plan());
    assert_eq!(drain.watch().beyond(Stage::Open).await, Stage::Draining);
}

#[tokio::test]
async fn bounds_work_by_a_stage() {
    let drain = Drain::default();
    let watch = drain.watch();
    let done = watch.within(Stage::Draining, pin!(async { 7 })).await;
    assert_eq!(done, Some(7));
    let begin = async {
        drain.begin(plan());
        tokio::task::yield_now().await;
        drain.cut();
    };
    let endless = pin!(std::future::pending::<()>());
    let endless = watch.within(Stage::Draining, endless);
    assert_eq!(tokio::join!(endless, begin).0, None);
}

#[tokio::test]
async fn cuts_after_it_began_and_keeps_the_first_plan() {
    let drain = Drain::default();
    let watch = drain.watch();
    drain.begin(plan());
    let first = watch.plan();
    drain.begin(plan());
    drain.cut();
    assert_eq!(watch.beyond(Stage::Draining).await, Stage::Cut);
    assert_eq!(watch.plan(), first);
}

#[tokio::test(start_paused = true)]
async fn cuts_who_is_left_at_the_deadline_and_who_joins_late() {
    let drain = Drain::default();
    drain.begin(plan());
    let cut = drain.cut_at(Instant::now() + Duration::from_secs(60));
    let join = async {
        sleep_until(Instant::now() + Duration::from_secs(50)).await;
        let watch = drain.watch();
        assert_eq!(watch.stage(), Stage::Draining);
        watch.beyond(Stage::Draining).await
    };
    assert_eq!(tokio::join!(cut, join).1, Stage::Cut);
    assert_eq!(drain.watch().stage(), Stage::Cut);
}

#[tokio::test(start_paused = true)]
async fn asks_the_longest_idle_and_nobody_twice() {
    let drain = Drain::default();
    let watches = [drain.watch(), drain.watch(), drain.watch()];
    let asked = || watches.each_ref().map(DrainWatch::is_asked);
    tokio::time::advance(Duration::from_secs(5)).await;
    watches[0].report_busy(true);
    watches[2].report_busy(false);
    drain.ask(1);
    assert_eq!(asked(), [false, true, false]);
    tokio::time::advance(Duration::from_secs(5)).await;
    watches[0].report_busy(false);
    watches[2].report_busy(true);
    drain.ask(1);
    assert_eq!(asked(), [true, true, false]);
    drain.ask(7);
    assert_eq!((asked(), drain.askable()), ([true, true, true], 0));
    assert_eq!(watches[0].asks(), 3);
    assert_eq!(watches[0].stage(), Stage::Open);
}

#[tokio::test]
async fn wakes_whoever_is_asked() {
    let drain = Drain::default();
    let watch = drain.watch();
    let hear = move |context: &mut Context<'_>| match watch.is_asked() {
        true => Poll::Ready(()),
        false => watch.poll_beyond(Stage::Open, context).map(|_| ()),
    };
    let session = tokio::spawn(poll_fn(hear));
    tokio::task::yield_now().await;
    drain.ask(1);
    session.await.unwrap();
}

#[test]
fn spreads_moments_over_the_window() {
    let plan = plan();
    assert_eq!(plan.moment(0.0), plan.begun);
    assert_eq!(plan.moment(0.5), plan.begun + plan.window / 2);
    assert_eq!(plan.moment(1.0), plan.begun + plan.window);
}

#[test]
fn spreads_what_is_left_over_an_earlier_window() {
    let plan = plan();
    let after = |seconds, window| {
        let begun = plan.begun + Duration::from_secs(seconds);
        plan.hastened(Plan {
            begun,
            window: Duration::from_secs(window),
            ..plan
        })
    };
    let near = |at: Instant, seconds: f32| {
        let at = at.duration_since(plan.begun).as_secs_f32();
        assert!((at - seconds).abs() < 0.01, "{at} is not {seconds}");
    };
    let hastened = after(15, 1);
    near(hastened.moment(0.5), 15.0);
    near(hastened.moment(0.75), 15.5);
    near(hastened.moment(1.0), 16.0);
    near(after(0, 3).moment(0.5), 1.5);
    near(after(29, 0).moment(1.0), 29.0);
    assert_eq!(after(15, 15), plan);
    assert_eq!(after(60, 0), plan);
    let last = Plan {
        begun: plan.begun + plan.window - Duration::from_nanos(1),
        window: Duration::ZERO,
        ..plan
    };
    near(plan.hastened(last).moment(1.0), 30.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_ends_well_before_the_deadline() {
    let grace = |time| plan().to_end_within(Duration::from_millis(time)).idle_grace;
    assert_eq!(grace(60_000), Duration::from_secs(2));
    assert_eq!(grace(1000), Duration::from_millis(250));
    let drain = Drain::default();
    let watch = drain.watch();
    assert_eq!(watch.idle_grace(), Duration::from_secs(2));
    drain.begin(plan());
    drain.hasten(Plan::now(Duration::ZERO).to_end_within(Duration::from_secs(1)));
    assert_eq!(watch.idle_grace(), Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn hears_of_an_earlier_end_while_it_waits_for_the_first() {
    let drain = Drain::default();
    let watch = drain.watch();
    drain.begin(plan());
    let hasten = async {
        tokio::task::yield_now().await;
        drain.hasten(Plan::now(Duration::from_secs(1)));
    };
    let begun = Instant::now();
    let moment = drain.moment(1.0);
    let heard = watch.beyond(Stage::Draining);
    assert_eq!(tokio::join!(moment, heard, hasten).1, Stage::Hastened);
    assert_eq!(begun.elapsed().as_secs(), 1);
}
