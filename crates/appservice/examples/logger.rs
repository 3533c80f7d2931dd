//! Logs all that is said in rooms `#logged_…`, and makes such a room when somebody asks for it.

use bridgehead_appservice::prelude::*;

#[tokio::main]
async fn main() -> ExitCode {
    Service::new("logger")
        .bot("logging")
        .aliases("#logged_{topic}")
        .on(|ev: Timeline, room: Room| async move {
            println!("{} {} {} {}", ev.sender, room.id, ev.kind, ev.content);
        })
        .on_alias(|ask: AliasAsk| async move { RoomPlan::public().name(&ask["topic"]) })
        .main()
        .await
}
