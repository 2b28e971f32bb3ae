//! Dead letters that are put back.

use super::*;

#[tokio::test]
async fn a_dead_letter_that_is_put_back_twice_is_executed_once() {
    let world = setup().start().await;
    let mut results = world.broker.results().await;
    let mut dead = world.broker.dead_letters().await;
    world.simulator.post("stock", json!({"merchantSku": "MUG-BLUE", "stockLevel": "1"})).await;
    let result = run(&world, &mut results, "acme.outbound.create", "c-1", &order("SO-1")).await;
    assert_eq!(outcome(&result), "failed rejected");
    let letter = dead.next().await;
    // As it is without its headers, it is a repetition: answered with the failure on record.
    world.broker.command("acme.outbound.create", "c-1", &order("SO-1")).await;
    let again = results_of(&mut results, "c-1", 2).await;
    assert_eq!(again[1].id(), result.id());
    assert_eq!(outbounds_of(&world.simulator, "SO-1").await.len(), 0);

    world.simulator.post("stock", json!({"merchantSku": "MUG-BLUE", "stockLevel": "100"})).await;
    for _ in 0..2 {
        let (key, properties) = (letter.routing_key.as_str(), letter.properties.clone());
        world.broker.publish(&world.names.commands(), key, properties, &letter.body).await;
    }
    let all = results_of(&mut results, "c-1", 4).await;
    let (first, second) = (&all[2], &all[3]);
    assert_eq!((outcome(first), outcome(second)), ("succeeded".to_owned(), "succeeded".to_owned()));
    assert_eq!(first.id(), second.id(), "the second copy is answered from the record");
    assert_ne!(first.id(), result.id(), "another ending has another id");
    only(&world.simulator, "SO-1").await;
}
