internal import CordonModel

/// What an answer tells, asked for in parts where it adds up over rows.
extension QueryService {
    /// Puts into the plan what must be read for that, and what runs when it proves all groups.
    ///
    /// - Returns: nil where it does not add up.
    func tellInParts(
        _ plan: inout QueryPlan, _ statement: Gated, _ readable: [QueryFile], _ view: HitsView,
        _ setting: Setting, _ salt: UInt64
    ) throws -> ToldInParts? {
        guard statement.addsUp, setting.tellsInParts else {
            plan.newestViews = Self.newestViews(of: view, readable)
            return nil
        }
        // Which rows of a file are read is said by its unit's name.
        let question =
            statement.isRemembered
            ? try plan.partDigest(
                salt: salt, view: view.withoutFiles.sql, statement.pruning.unbounded.text) : nil
        let told = ToldInParts(
            statement.releases.map(\.release), about: readable,
            asked: .init(
                access: view.access, today: setting.today, horizon: setting.horizon,
                pruning: statement.pruning), salt: salt, memory: question.map { (memory, $0) })
        guard !told.units.isEmpty || readable.isEmpty else {
            // All is remembered.
            plan.releases = []
            if told.proven.areAll, let proven = statement.proven {
                plan.statement = proven
                plan.view = view.unguarded.sql
                plan.quickStatement = nil
                plan.sampledView = nil
            }
            return told
        }
        plan.partView = view.told(of: told.units).sql
        plan.newestViews = Self.newestViews(
            of: view, readable.filter { told.units[$0.path] != nil })
        // One that is not proven is not when there are rows of others.
        if told.proven.isNoneOpen, let proven = statement.proven {
            plan.proven = .init(
                statement: proven, view: view.unguarded.sql, groups: told.proven)
        }
        return told
    }

    /// The files of the last day, then all others.
    private static func newestViews(of view: HitsView, _ files: [QueryFile]) -> [String] {
        let last = files.compactMap(\.day).max()
        let newest = files.filter { $0.day == nil || $0.day == last }
        let rest = files.filter { $0.day != nil && $0.day != last }
        return (rest.isEmpty ? [newest] : [newest, rest]).map { view.over($0.map(\.path)).sql }
    }
}
