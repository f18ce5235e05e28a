package import CordonModel
internal import YAML

/// The regions, policies and atlas of a project, checked whole.
package struct ProjectConfiguration: Sendable {
    /// Sorted by name.
    package let regions: [RegionConfiguration]
    package let ruleSet: RuleSet
    package let atlas: Atlas
    /// What must be provable; without `Policies/invariants.yaml` the floors alone.
    package let invariants: Invariants
    /// What is allowed and yet looks wrong, sorted by file and position.
    package let warnings: [ConfigurationProblem]
    /// Warnings that `Policies/accepted.yaml` lets stand.
    package let accepted: [AcceptedFinding]
    /// The cases of `Policies/cases/`, sorted by file and position.
    package let cases: [PolicyCase]
    /// What it was read from.
    package let files: ProjectFiles

    /// Reads the files of `layout`; any mistake in any of them fails it, with all mistakes of all files.
    /// - Parameter linting: whether rules that look wrong when seen together are looked for, which takes longer.
    package static func load(
        _ layout: ProjectLayout, now: Day, linting: Bool = false
    ) throws(ConfigurationErrors) -> ProjectConfiguration {
        let problems = ProblemList()
        let files = ProjectFiles(reading: layout, problems: problems)
        return try load(files, layout: layout, now: now, linting: linting, problems: problems)
    }

    /// Reads the policies that lie below `folder` as if they were those of `layout`. Where the folder has no `Regions/`, the
    /// regions are those of `layout` too.
    package static func load(
        policiesOf folder: ProjectLayout, for layout: ProjectLayout, now: Day
    ) throws(ConfigurationErrors) -> ProjectConfiguration {
        let problems = ProblemList()
        let files = ProjectFiles(reading: folder, otherwise: layout, problems: problems)
        return try load(
            files, layout: layout, now: now, linting: false, problems: problems)
    }

    /// Checks `files` as if they were those of `layout`.
    package static func load(
        _ files: ProjectFiles, layout: ProjectLayout, now: Day, linting: Bool = false
    ) throws(ConfigurationErrors) -> ProjectConfiguration {
        try load(files, layout: layout, now: now, linting: linting, problems: ProblemList())
    }

    static func load(
        _ files: ProjectFiles, layout: ProjectLayout, now: Day, linting: Bool,
        problems: ProblemList
    ) throws(ConfigurationErrors) -> ProjectConfiguration {
        let regions = Self.regions(files, layout, problems)
        let atlas = Self.atlas(files, now, problems)
        let regionNames = files.names(in: "Regions")
        let policies = Self.policies(files, atlas, regionNames, problems)
        let policyNames = files.names(in: "Policies")
        let cases = Self.cases(files, regionNames, policyNames, problems)
        let invariants = Self.invariants(
            files, atlas, regionNames, policies, isWhole: policies.count == policyNames.count,
            problems)
        PolicyChecks(problems: problems).check(policies, regions: regions)
        let reader = AcceptanceReader(problems: problems, today: now)
        let acceptances =
            files.root("Policies/accepted.yaml", problems: problems).map(reader.read) ?? []
        guard problems.errors.isEmpty else {
            let (warnings, _) = reader.apply(
                acceptances, to: problems.warnings.sorted(), isComplete: false)
            throw ConfigurationErrors(problems: problems.errors.sorted(), warnings: warnings)
        }
        let ruleSet = RuleSet(
            regions: regions.map(\.name), policies: policies,
            digest: CanonicalForm.digest(regions: regions, policies: policies))
        if linting {
            PolicyLints(
                problems: problems, ruleSet: ruleSet, regions: regions, atlas: atlas,
                limits: invariants.limits
            ).lint()
        }
        let (warnings, accepted) = reader.apply(
            acceptances, to: problems.warnings.sorted(), isComplete: linting)
        return ProjectConfiguration(
            regions: regions, ruleSet: ruleSet, atlas: atlas, invariants: invariants,
            warnings: warnings, accepted: accepted, cases: cases, files: files)
    }

    private static func regions(
        _ files: ProjectFiles, _ layout: ProjectLayout, _ problems: ProblemList
    ) -> [RegionConfiguration] {
        let reader = RegionReader(problems: problems, layout: layout)
        var checks = RegionChecks(problems: problems, layout: layout)
        var regions: [RegionConfiguration] = []
        for path in files.yamlPaths(in: "Regions", problems: problems) {
            guard let root = files.root(path, problems: problems),
                let region = reader.read(root, fileName: ProjectFiles.name(of: path))
            else { continue }
            regions.append(region)
            checks.check(region, at: root.position)
        }
        if files.paths(in: "Regions").isEmpty {
            problems.error(.init(file: "Regions", line: 1, column: 1), "there is no region")
        }
        return regions.sorted { $0.name < $1.name }
    }

    private static func atlas(
        _ files: ProjectFiles, _ now: Day, _ problems: ProblemList
    ) -> Atlas {
        let path = "Policies/atlas.yaml"
        guard files.contents[path] != nil else {
            problems.error(.init(file: path, line: 1, column: 1), "the file is missing")
            return .unread
        }
        guard let root = files.root(path, problems: problems) else { return .unread }
        return AtlasReader(problems: problems, today: now).read(root)
    }

    private static func policies(
        _ files: ProjectFiles, _ atlas: Atlas, _ regions: [String], _ problems: ProblemList
    ) -> [CompiledPolicy] {
        let reader = PolicyReader(problems: problems, atlas: atlas, regions: regions)
        var policies: [CompiledPolicy] = []
        for path in files.yamlPaths(in: "Policies", problems: problems) {
            let name = ProjectFiles.name(of: path)
            if Self.notPolicies.contains(name) { continue }
            guard let root = files.root(path, problems: problems),
                let policy = reader.read(root, fileName: name)
            else { continue }
            policies.append(policy)
        }
        return policies.sorted { $0.name < $1.name }
    }

    /// Names of files in `Policies/` that hold no policy.
    fileprivate static let notPolicies: Set = ["accepted", "atlas", "invariants"]

    private static func invariants(
        _ files: ProjectFiles, _ atlas: Atlas, _ regions: [String], _ policies: [CompiledPolicy],
        isWhole: Bool, _ problems: ProblemList
    ) -> Invariants {
        let path = "Policies/invariants.yaml"
        guard let root = files.root(path, problems: problems) else { return .unstated }
        let purposes = isWhole ? Set(policies.flatMap(\.consent.purposes)) : nil
        return InvariantReader(
            problems: problems, atlas: atlas, regions: regions, purposes: purposes
        ).read(root)
    }

    private static func cases(
        _ files: ProjectFiles, _ regions: [String], _ policies: [String], _ problems: ProblemList
    ) -> [PolicyCase] {
        let reader = CaseReader(problems: problems, regions: regions, policies: policies)
        return files.yamlPaths(in: "Policies/cases", problems: problems).flatMap { path in
            files.root(path, problems: problems).map(reader.read) ?? []
        }
    }
}

extension ProjectFiles {
    /// `gdpr` for `Policies/gdpr.yaml`.
    static func name(of path: String) -> String {
        String(path.split(separator: "/").last?.dropLast(".yaml".count) ?? "")
    }

    /// Names of the files in `folder`, those that cannot be read included: what another file may refer to.
    func names(in folder: String) -> [String] {
        paths(in: folder).filter { $0.hasSuffix(".yaml") }.map(Self.name)
            .filter { !ProjectConfiguration.notPolicies.contains($0) }
    }

    /// The files in `folder`; a name that ends in another way would be passed over in silence, so it is a mistake.
    func yamlPaths(in folder: String, problems: ProblemList) -> [String] {
        let paths = paths(in: folder)
        for path in paths where !path.hasSuffix(".yaml") {
            problems.error(
                FilePosition(file: path, line: 1, column: 1),
                "the file is not read: its name must end in `.yaml`")
        }
        return paths.filter { $0.hasSuffix(".yaml") }
    }
}
