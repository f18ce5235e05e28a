/// All commands, in the order of `cordon --help`.
enum CommandTable {
    static let all: [Command] = [
        .initialize, .up, .collect, .serve, .reload, .demo, .benchRequests, .benchSend, .benchHold,
        .bench,
        .check,
        .deliver, .maintain, .deadList, .deadExplain, .deadRetry,
        .importLogs,
        .queryBudget, .query, .report,
        .catalogTables, .catalogDescribe, .catalogSnapshots, .catalogFiles,
        .geoBuild, .geoLookup, .geoInfo, .geoDiff, .relocate,
        .scan,
        .doctorAddress, .doctor,
        .policyExplain, .policyTest, .policyProve, .policyDiff, .policyShadow, .policyReference,
        .policyReach,
        .policyFormat,
        .certificateVerify,
        .consentDecode,
        .auditLog, .auditVerify, .auditProve, .auditCheckpoint, .auditWitness, .auditExport,
        .auditReport, .auditBalance,
        .keysList, .keysRotate, .keysDestroy, .keysWrap,
        .tokenIssue, .tokenList, .tokenRevoke,
        .subjectFind, .subjectExport, .subjectOpen, .subjectErase, .subjectRectify, .subjectObject,
        .subjectRestrict,
        .subjectUnrestrict, .subjectStatus, .subjectVerify,
        .holdAdd, .holdList, .holdRelease, .restoreCheck,
        .retentionPlan, .retentionApply, .retentionStatus,
    ]

    /// Commands that only other commands run; help does not list them.
    static let hidden: [Command] = [.queryWorker]

    /// The command that the first words choose, and the words behind it.
    static func match(_ words: [String]) -> (command: Command, rest: [String])? {
        for command in all + hidden where words.starts(with: command.words) {
            return (command, Array(words.dropFirst(command.words.count)))
        }
        return nil
    }
}
