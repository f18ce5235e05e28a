package import GeoTables

extension RulePlace {
    /// What a geo table says, without the registered country, which decides nothing.
    package init(_ place: GeoPlace) {
        self.init(country: place.country, subdivision: place.subdivision)
    }
}

extension RuleSet {
    /// The rules laid out for a geo table: place n of the result is place n of the table.
    package func bound(to places: [GeoPlace]) -> BoundRules {
        bound(to: places.map { RulePlace($0) })
    }
}
