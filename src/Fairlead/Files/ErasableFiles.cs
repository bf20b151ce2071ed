using Fairlead.Erasure;
using Fairlead.Storage;

namespace Fairlead.Files;

/// <summary>
/// Files in the erasure of a project: all of them. A file belongs to its project and does not say which key has uploaded it, so for other
/// erasures only the files of batches are looked at, by the batches. Thread-safe.
/// </summary>
internal sealed class ErasableFiles(IStorage storage, FileStore files, IFileContents contents) : IErasable
{
    private const int Portion = 20;

    private static readonly TimeSpan HeldPause = TimeSpan.FromSeconds(1);

    public string Name => "files";

    /// <summary>After the batches, which hold their input files.</summary>
    public int Order => 350;

    public IReadOnlyList<string> Tables { get; } = ["files", "file_chunks"];

    public async Task<ErasureStep> EraseAsync(ErasureTarget target, string cursor, CancellationToken cancellationToken)
    {
        if (target.Kind != ErasureKind.Project) return new ErasureStep(0, null);
        List<(string Id, bool IsHeld)> rows;
        await using (var connection = await storage.OpenAsync(cancellationToken))
        {
            rows = await connection.QueryAsync(
                $"""
                SELECT id, CASE WHEN holders > 0 THEN 1 ELSE 0 END AS held FROM files
                WHERE project_id = @project AND id > @after AND created_at <= @until AND status = 'ready' ORDER BY id LIMIT {Portion}
                """,
                [("@project", target.Selector.TargetId), ("@after", cursor), ("@until", target.Until)],
                row => (row.Text("id"), row.Bool("held")), cancellationToken);
        }
        // Its batch was cancelled and ends soon.
        if (rows.Exists(row => row.IsHeld)) return new ErasureStep(0, cursor, HeldPause);
        foreach (var (id, _) in rows)
        {
            await contents.DeleteAsync(id, cancellationToken);
            await files.ForgetAsync(id, cancellationToken);
        }
        return new ErasureStep(rows.Count, rows.Count < Portion ? null : rows[^1].Id);
    }
}
