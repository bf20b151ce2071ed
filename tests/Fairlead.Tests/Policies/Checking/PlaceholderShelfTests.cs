using Fairlead.Memory;
using Fairlead.Policies;
using Fairlead.Policies.Checking;
using Fairlead.Policies.Matching;
using Fairlead.Tests.Policies.Matching;
using Microsoft.Extensions.Time.Testing;

namespace Fairlead.Tests.Policies.Checking;

/// <summary>Originals that wait for later readers: for whom, and how many.</summary>
public sealed class PlaceholderShelfTests
{
    private readonly MemoryBudget _memory = new(static () => 1L << 30);

    [Fact]
    public void Find_OtherKey_GetsNothing()
    {
        var shelf = new PlaceholderShelf(new FakeTimeProvider(), _memory);
        var kept = new Originals(Known("ada@example.org"), IsDocument: false);
        shelf.Keep("gen_1", "key_a", kept);
        Assert.Same(kept, shelf.Find("gen_1", "key_a"));
        Assert.Same(kept, shelf.FindOfResponse("resp_1", "key_a"));
        Assert.Null(shelf.Find("gen_1", "key_b"));
        Assert.Null(shelf.FindOfResponse("resp_1", "key_b"));
    }

    [Fact]
    public void Keep_ManyBytes_OldestGoAndAreReturned()
    {
        var shelf = new PlaceholderShelf(new FakeTimeProvider(), _memory);
        var large = string.Join(' ', Enumerable.Range(0, 9_000).Select(i => $"{new string('a', 60)}{i}@example.org"));
        for (var i = 0; i < 20; i++) shelf.Keep($"gen_{i}", "key", new Originals(Known(large), IsDocument: false));
        Assert.Null(shelf.Find("gen_0", "key"));
        Assert.NotNull(shelf.Find("gen_19", "key"));
        Assert.InRange(_memory.Used, 1, PlaceholderShelf.MaxBytes);
    }

    [Fact]
    public void PolicySet_AfterChange_KeepsWhatIsCompiled()
    {
        var stays = new OwnedPolicy(new PolicyDefinition("a", "a", 1, [Matching.Matching.Words(PolicyAction.Block, "x")]), new PolicyOwner(KeyId: "key_a"));
        var changes = new OwnedPolicy(new PolicyDefinition("b", "b", 1, [Matching.Matching.Words(PolicyAction.Block, "y")]), new PolicyOwner(KeyId: "key_b"));
        var first = new PolicySet([stays, changes]);
        var before = first.Of(CallerOf("key_a"));
        var changed = first.Of(CallerOf("key_b"));
        var second = new PolicySet([stays, changes with { Definition = changes.Definition with { Version = 2 } }], first);
        var after = second.Of(CallerOf("key_a"));
        Assert.NotNull(before);
        Assert.Same(before, after);
        Assert.NotSame(changed, second.Of(CallerOf("key_b")));
    }

    private static Fairlead.Access.Caller CallerOf(string key) => new()
    {
        OrganizationId = "o", OrganizationName = "O", ProjectId = "p", ProjectName = "P", KeyId = key, KeyName = "K", Scopes = [Fairlead.Access.Scopes.Chat],
    };

    private static Placeholders Known(string text)
    {
        var placeholders = new Placeholders();
        using var check = Matching.Matching.Compile(Matching.Matching.Personal(PolicyAction.Redact, "email") with { Restore = true })
            .CheckInput(new PolicyTally(), placeholders);
        check.Check(text);
        return placeholders;
    }
}
