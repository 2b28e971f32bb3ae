//! A product as FFN sends it (contract 13, C.3).

use schemars::JsonSchema;

use super::super::decimal::Decimal;
use super::{Dimensions, EntityAttribute, ModificationInfo};

open_object!(
    /// A product, as FFN sent it.
    Product {
        /// FFN's id.
        jfsku: String,
        /// The merchant; only in the fulfiller's view.
        merchant_id: String,
        /// Name.
        name: String,
        /// The merchant's id.
        merchant_sku: String,
        /// Its pictures, without their data.
        pictures: Vec<Picture>,
        /// Group.
        product_group: String,
        /// Where it was made, ISO 3166 alpha-2.
        origin_country: String,
        /// Who made it.
        manufacturer: String,
        /// Weight in kg.
        weight: Decimal,
        /// Weight without packaging in kg.
        net_weight: Decimal,
        /// A note.
        note: String,
        /// Its numbers.
        identifier: ProductIdentifier,
        /// How it has to be handled.
        specifications: Specifications,
        /// Width, length and height.
        dimensions: Dimensions,
        /// Free attributes.
        attributes: Vec<EntityAttribute>,
        /// What it costs.
        net_retail_price: Price,
        /// Packs of several.
        bundles: Vec<ProductBundle>,
        /// The same in other conditions, or what it is a part of.
        related_products: Vec<RelatedProduct>,
        /// Condition, for example `Default`, `Used`.
        condition: String,
        /// When and how FFN changed the entity.
        modification_info: ModificationInfo,
    }
);

open_object!(
    /// A picture.
    Picture {
        /// Its place among the others.
        number: i32,
        /// Where it is; needs a sign-in.
        url: String,
        /// Where it is for everybody.
        public_url: String,
        /// Hash of its data.
        hash: String,
        /// Bytes.
        size: i64,
        /// MIME type.
        mime_type: String,
    }
);

open_object!(
    /// Numbers of a product.
    ProductIdentifier {
        /// The manufacturer's.
        mpn: Mpn,
        /// EAN.
        ean: String,
        /// ISBN.
        isbn: String,
        /// UPC.
        upc: String,
        /// ASIN.
        asin: String,
    }
);

open_object!(
    /// A manufacturer's number.
    Mpn {
        /// Whose.
        manufacturer: String,
        /// The number.
        part_number: String,
    }
);

open_object!(
    /// How a product has to be handled.
    Specifications {
        /// UN number of dangerous goods.
        un_number: String,
        /// Hazard identification number.
        hazard_identifier: String,
        /// Customs tariff number.
        taric: String,
        /// FNSKU.
        fnsku: String,
        /// Whether it has batches.
        is_batch: bool,
        /// Whether parts of one are sold.
        is_divisible: bool,
        /// Whether it has a best-before date.
        is_best_before: bool,
        /// Whether each has a serial number.
        is_serial_number: bool,
        /// Whether it consists of other products.
        is_bill_of_materials: bool,
        /// The products it consists of.
        bill_of_materials_components: Vec<BillOfMaterialsComponent>,
        /// Whether it is packaging.
        is_packaging: bool,
    }
);

open_object!(
    /// A part of a product.
    BillOfMaterialsComponent {
        /// FFN's id of the part.
        jfsku: String,
        /// How many.
        quantity: Decimal,
    }
);

open_object!(
    /// A price.
    Price {
        /// How much.
        amount: Decimal,
        /// ISO 4217.
        currency: String,
    }
);

open_object!(
    /// A pack of several.
    ProductBundle {
        /// Name.
        name: String,
        /// How many are in it.
        quantity: Decimal,
        /// EAN.
        ean: String,
        /// UPC.
        upc: String,
    }
);

open_object!(
    /// A product that belongs to another.
    RelatedProduct {
        /// FFN's id.
        jfsku: String,
        /// Its condition.
        condition: String,
        /// `BillOfMaterials` or `Condition`.
        kind_of_relation: String,
    }
);
