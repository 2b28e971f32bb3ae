//! Products in another condition: used or damaged goods are products of their own that name each other.

use crate::answer::{Fail, Outcome};
use crate::catalog::Role;
use crate::inbound::list;
use crate::json::{Json, obj};
use crate::record::Actor;
use crate::things::Kind;
use crate::world::World;

fn is_bundle(body: &Json) -> bool {
    body.walk("specifications/isBillOfMaterials") == Some(&Json::Bool(true))
}

/// The condition of a product, if it has one.
pub(crate) fn condition(body: &Json) -> Option<&str> {
    body.text("condition").filter(|condition| *condition != "Unknown")
}

impl World {
    /// Refuses a bundle with a condition.
    pub(crate) fn check_bundle_condition(code: &'static str, body: &Json, told: &Json, jfsku: &str) -> Outcome<()> {
        if condition(told).is_none() || !is_bundle(body) {
            return Ok(());
        }
        Err(Fail::new(400, code, "A bundle has no condition.")
            .with("Jfsku", jfsku)
            .with("MerchantSku", body.text("merchantSku").unwrap_or_default()))
    }

    /// Refuses a condition that a product or one that is related to it has already.
    fn check_unique(&self, n: usize, wanted: &str) -> Outcome<()> {
        let product = self.thing(Kind::Products, n)?;
        let related = list(&product.body, "relatedProducts");
        let conditional = related.iter().filter(|r| r.text("kindOfRelation") == Some("Condition"));
        let same = conditional.filter(|r| r.text("condition") == Some(wanted)).filter_map(|r| r.text("jfsku")).next();
        let own = (condition(&product.body) == Some(wanted)).then_some(product.id.as_str());
        match own.or(same) {
            None => Ok(()),
            Some(other) => {
                let code = "Products_ConditionMustBeUniqueInRelatedProductsList";
                Err(Fail::new(400, code, "There is a product in this condition already.")
                    .with("Condition", wanted)
                    .with("Jfsku", product.id.as_str())
                    .with("JfskuWithSameCondition", other))
            }
        }
    }

    /// Lets two products name each other.
    fn relate(&mut self, n: usize, other: usize, by: Actor) {
        for (here, there) in [(n, other), (other, n)] {
            let Some(target) = self.things.products.get(there) else { continue };
            let row = obj([
                ("jfsku", target.id.as_str().into()),
                ("condition", target.body.text("condition").unwrap_or("Unknown").into()),
                ("kindOfRelation", "Condition".into()),
            ]);
            self.alter(Kind::Products, here, by, |body| {
                let mut rows = list(body, "relatedProducts");
                rows.push(row);
                body.set("relatedProducts", rows.into());
            });
        }
    }

    /// Relates a product of the merchant to another one that has another condition.
    pub(crate) fn add_related(&mut self, n: usize, jfsku: &str, by: Actor) -> Outcome<()> {
        let other = self.find_thing(Kind::Products, Role::Merchant, jfsku)?;
        for n in [n, other] {
            let product = self.thing(Kind::Products, n)?;
            if is_bundle(&product.body) {
                let code = "Products_CanNotAddBillOfMaterialProductToRelatedProductList";
                return Err(Fail::new(400, code, "A bundle has no condition.").with("Jfsku", product.id.as_str()));
            }
        }
        let Some(wanted) = condition(&self.thing(Kind::Products, other)?.body).map(str::to_owned) else {
            return Err(no_condition(jfsku));
        };
        self.check_unique(n, &wanted)?;
        self.relate(n, other, by);
        Ok(())
    }

    /// The fulfiller makes the same product in another condition.
    pub(crate) fn create_related(&mut self, n: usize, told: &Json, by: Actor) -> Outcome<usize> {
        let product = self.thing(Kind::Products, n)?;
        let (jfsku, mut body) = (product.id.clone(), product.body.clone());
        let Some(wanted) = condition(told) else { return Err(no_condition(&jfsku)) };
        Self::check_bundle_condition("Products_CanNotCreateBillOfMaterialWithCondition", &body, told, &jfsku)?;
        self.check_unique(n, wanted)?;
        let sku = body.text("merchantSku").unwrap_or_default();
        let mut sku = format!("{sku}-{wanted}");
        while self.catalog.by_sku(&sku).is_some() {
            sku.push('+');
        }
        body.set("jfsku", self.new_id(Kind::Products, Role::Merchant, "01", 5).into());
        body.set("merchantSku", sku.into());
        body.set("condition", wanted.into());
        for name in ["pictures", "relatedProducts"] {
            body.set(name, Json::Arr(Vec::new()));
        }
        let other = self.put(Kind::Products, body, None, by);
        self.relate(n, other, by);
        Ok(other)
    }

    /// The merchant creates a product that is related to another one.
    pub(crate) fn relate_new(&mut self, told: &Json, jfsku: &str, by: Actor) -> Outcome<usize> {
        let n = self.find_thing(Kind::Products, Role::Merchant, jfsku).map_err(|fail| Fail { status: 400, ..fail })?;
        let Some(wanted) = condition(told) else { return Err(no_condition(jfsku)) };
        self.check_unique(n, wanted)?;
        let other = self.create_product(told, false, by)?;
        self.relate(n, other, by);
        Ok(other)
    }
}

fn no_condition(jfsku: &str) -> Fail {
    let code = "Products_ConditionOfRelatedProductCanNotBeUnknown";
    Fail::new(400, code, "A product that is related by its condition needs one.").with("Jfsku", jfsku)
}
